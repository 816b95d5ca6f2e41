#include "fiber.hpp"

#include <cstdlib>

namespace cuda_on_cpu {

static thread_local Fiber* starting;

void Fiber::enter() {
    starting->entry_(starting->argument_);
    std::abort();  // there is nothing to return to
}

#ifdef CUDA_ON_CPU_UCONTEXT

void Fiber::start(char* stack, std::size_t bytes, Entry entry, void* argument) {
    entry_ = entry;
    argument_ = argument;
    getcontext(&fiber_);
    fiber_.uc_stack.ss_sp = stack;
    fiber_.uc_stack.ss_size = bytes;
    fiber_.uc_link = nullptr;
    makecontext(&fiber_, enter, 0);
}

void Fiber::resume() {
    starting = this;
    swapcontext(&runner_, &fiber_);
}

void Fiber::suspend() { swapcontext(&fiber_, &runner_); }

#else

// Push what a function must preserve, change stacks, pop what the other one had pushed.
__attribute__((naked, noinline)) static void change_stacks(void** /*rdi: saves*/, void* /*rsi: loads*/) {
    asm("pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15;"
        "movq %rsp, (%rdi);"
        "movq %rsi, %rsp;"
        "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp;"
        "ret");
}

void Fiber::start(char* stack, std::size_t bytes, Entry entry, void* argument) {
    entry_ = entry;
    argument_ = argument;
    auto top = reinterpret_cast<std::uintptr_t*>(reinterpret_cast<std::uintptr_t>(stack + bytes) & ~15ul);
    *--top = 0;  // where enter() would return to; also leaves the stack as the ABI wants it in a function
    *--top = reinterpret_cast<std::uintptr_t>(&enter);
    for (int i = 0; i < 6; ++i) *--top = 0;
    fiber_ = top;
}

void Fiber::resume() {
    starting = this;
    change_stacks(&runner_, fiber_);
}

void Fiber::suspend() { change_stacks(&fiber_, runner_); }

#endif

}  // namespace cuda_on_cpu
