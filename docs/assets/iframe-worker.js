/* Search in a site that is opened from a disk, where browsers start no worker: a hidden frame in its place. */
(() => {
  "use strict";
  if (location.protocol !== "file:") return;

  /* What a worker has and a frame lacks; run within the frame, so that messages come from there. */
  const within = `
    postMessage = (data) => parent.postMessage(data, "*");
    importScripts = (...urls) =>
      urls.reduce(
        (before, url) =>
          before.then(
            () =>
              new Promise((resolve) => {
                const script = document.createElement("script");
                script.src = url;
                script.addEventListener("load", resolve);
                document.body.appendChild(script);
              }),
          ),
        Promise.resolve(),
      );
  `;

  class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      this.inside = this.frame.contentWindow;
      window.addEventListener("message", (event) => {
        if (event.source !== this.inside) return;
        this.dispatchEvent(new MessageEvent("message", { data: event.data }));
      });
      this.append({ textContent: within });
      this.loaded = new Promise((resolve) => {
        this.append({ src: String(url) }).addEventListener("load", resolve);
      });
    }

    append(properties) {
      const script = Object.assign(this.inside.document.createElement("script"), properties);
      this.inside.document.body.appendChild(script);
      return script;
    }

    postMessage(data) {
      this.loaded.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  }

  window.IFrameWorker = IFrameWorker;
  window.Worker = IFrameWorker;
})();
