/* CUDA on the CPU: compiles a .cu with g++ and runs it, to test the logic of kernels without a GPU.

What it is. Include this header before the .cu. A CUDA thread is a fiber, a block runs on one OS thread,
blocks are spread over OS threads. __syncthreads and shuffles suspend the fiber until the others are there;
which of the runnable ones goes on is random, by a seed: a missing barrier shows as a wrong result. A barrier
or shuffle that not every thread of the block or warp reaches ends the launch with an error.

What it is not. Shuffles are of whole warps. Within a thread nothing is reordered, and between two barriers
threads do not overlap: the memory model is not tested. Shared memory is static. rsqrt is exact, and no
multiplication is fused with an addition, so results may differ from a GPU's in the last bits.

A library of one variant's kernels, for ctypes or for a fake libcuda:

    g++ @tests/cuda_on_cpu/flags.txt -DCOLVI_PATCH_PX=64 ...(Variant.macros())... \
        tests/cuda_on_cpu/{kernels,cuda_on_cpu,fiber}.cpp -o kernels.so

Its interface is the three C functions at the end. A kernel's arguments come packed as cuLaunchKernel's
CU_LAUNCH_PARAM_BUFFER_POINTER takes them: each aligned to its own type; for project_tile_normalise pointer,
pointer, struct Arguments, without gaps. "Device" pointers are plain host pointers. */
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <utility>

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };

namespace cuda_on_cpu {

struct Position {
    uint3 thread, block;
    dim3 threads, blocks;
};
extern thread_local const Position* here;  // of the CUDA thread that runs on this OS thread

void barrier();                                               // __syncthreads
std::uint64_t exchange(std::uint64_t bits, unsigned lane);    // give bits, take those of another lane

template <class T> T shuffle(T value, unsigned lane) {
    static_assert(sizeof(T) <= 8, "no more than 64 bits are shuffled at once");
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    bits = exchange(bits, lane);
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}

inline unsigned lane() {
    const Position& at = *here;
    return (at.thread.x + at.threads.x * (at.thread.y + at.threads.y * at.thread.z)) % 32;
}

/* Run `body` once as every thread of a grid; throw std::runtime_error where it can never end.
   The order of threads follows from `seed` alone, whatever `workers`, the number of OS threads, is. */
void launch(dim3 blocks, dim3 threads, const std::function<void()>& body, std::uint64_t seed,
            unsigned workers);

struct Kernel {
    const char* name;
    std::size_t packed_bytes;  // of all arguments
    std::function<std::function<void()>(const char* packed)> bind;
};

template <class... Parameters> Kernel kernel(const char* name, void (*function)(Parameters...)) {
    constexpr auto aligned = [](std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; };
    std::size_t packed_bytes = 0;
    ((packed_bytes = aligned(packed_bytes, alignof(Parameters)) + sizeof(Parameters)), ...);
    auto bind = [function, aligned](const char* packed) -> std::function<void()> {
        std::tuple<std::remove_const_t<Parameters>...> arguments;
        std::size_t offset = 0;
        auto read = [&](auto& argument) {
            offset = aligned(offset, alignof(decltype(argument)));
            std::memcpy(&argument, packed + offset, sizeof(argument));
            offset += sizeof(argument);
        };
        std::apply([&](auto&... argument) { (read(argument), ...); }, arguments);
        return [function, arguments] { std::apply(function, arguments); };
    };
    return {name, packed_bytes, bind};
}

const Kernel* find(const char* name);  // defined by the file that includes the .cu

}  // namespace cuda_on_cpu

extern "C" {
std::size_t cuda_on_cpu_packed_bytes(const char* name);  // 0: there is no such kernel
int cuda_on_cpu_launch(const char* name, const unsigned blocks[3], const unsigned threads[3],
                       const char* packed, std::uint64_t seed, unsigned workers);  // 0, or 1 for an error
const char* cuda_on_cpu_error();  // of this OS thread's last launch that failed
}

// The words of CUDA C++.
#define __global__
#define __device__
#define __shared__ static thread_local
#define __launch_bounds__(...)
#define threadIdx (cuda_on_cpu::here->thread)
#define blockIdx (cuda_on_cpu::here->block)
#define blockDim (cuda_on_cpu::here->threads)
#define gridDim (cuda_on_cpu::here->blocks)
#define __syncthreads() cuda_on_cpu::barrier()

template <class T> T __shfl_xor_sync(unsigned, T value, unsigned mask) {
    return cuda_on_cpu::shuffle(value, cuda_on_cpu::lane() ^ mask);
}
template <class T> T __ldg(const T* at) { return *at; }
inline float rsqrt(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
