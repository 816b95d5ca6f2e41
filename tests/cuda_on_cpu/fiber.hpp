/* A fiber: a function with a stack of its own, which runs until it suspends itself or ends.

Switching is hand-written for x86-64; elsewhere, and with CUDA_ON_CPU_UCONTEXT defined, it is <ucontext.h>,
whose system call at every switch makes it slower. A fiber stays on the OS thread that started it. */
#pragma once

#include <cstddef>
#include <cstdint>

#if !defined(__x86_64__) && !defined(CUDA_ON_CPU_UCONTEXT)
#define CUDA_ON_CPU_UCONTEXT
#endif
#ifdef CUDA_ON_CPU_UCONTEXT
#include <ucontext.h>
#endif

namespace cuda_on_cpu {

class Fiber {
public:
    using Entry = void (*)(void* argument);

    // `stack` outlives the fiber. The entry runs from the first resume(), and never returns: when it is
    // through it suspends itself and is not resumed.
    void start(char* stack, std::size_t bytes, Entry entry, void* argument);
    void resume();   // called by whoever runs the fiber; returns when that suspends
    void suspend();  // called by the fiber

private:
    static void enter();

    Entry entry_;
    void* argument_;
#ifdef CUDA_ON_CPU_UCONTEXT
    ucontext_t fiber_, runner_;
#else
    void *fiber_, *runner_;  // stack pointers
#endif
};

}  // namespace cuda_on_cpu
