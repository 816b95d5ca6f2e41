/* Search in a site that is opened from a disk, where browsers start no worker: a hidden frame in its place. */
(() => {
  "use strict";
  if (location.protocol !== "file:") return;

  class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      const inside = this.frame.contentWindow;
      window.addEventListener("message", (event) => {
        if (event.source !== inside) return;
        this.dispatchEvent(new MessageEvent("message", { data: event.data }));
        if (this.onmessage) this.onmessage(event);
      });
      this.loaded = new Promise((resolve) => this.frame.addEventListener("load", resolve, { once: true }));
      const script = inside.document.createElement("script");
      script.src = String(url);
      script.addEventListener("load", () => this.frame.dispatchEvent(new Event("load")));
      inside.postMessage = (data) => parent.postMessage(data, "*");
      inside.importScripts = (...urls) =>
        urls.reduce(
          (before, one) =>
            before.then(
              () =>
                new Promise((resolve) => {
                  const next = inside.document.createElement("script");
                  next.src = one;
                  next.addEventListener("load", resolve);
                  inside.document.body.appendChild(next);
                }),
            ),
          Promise.resolve(),
        );
      inside.document.body.appendChild(script);
    }

    postMessage(data) {
      this.loaded.then(() =>
        this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data: structuredClone(data) })),
      );
    }

    terminate() {
      this.frame.remove();
    }
  }

  window.IFrameWorker = IFrameWorker;
  window.Worker = IFrameWorker;
})();
