// Small kernels whose results are known, to try the emulator itself.
#include "cuda_on_cpu.hpp"

// Each block reverses its own 64 numbers through shared memory.
static void reverse(const int* from, int* to) {
    __shared__ int shared[64];
    shared[threadIdx.x] = from[blockIdx.x * blockDim.x + threadIdx.x];
    __syncthreads();
    to[blockIdx.x * blockDim.x + threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

// The same, without the barrier: wrong, as a GPU may be.
static void race(const int* from, int* to) {
    __shared__ int shared[64];
    shared[threadIdx.x] = from[blockIdx.x * blockDim.x + threadIdx.x];
    to[blockIdx.x * blockDim.x + threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

// The sums of each warp, in all of its lanes, by shuffles of 64 bits.
static void sum_warps(const int* from, long long* to) {
    long long value = from[threadIdx.x];
    for (unsigned distance = 16; distance; distance /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    to[threadIdx.x] = value;
}

// Thread 5 leaves before a barrier that the others wait in.
static void leave_early(const int*, int*) {
    if (threadIdx.x == 5) return;
    __syncthreads();
}

// Only the even lanes shuffle.
static void shuffle_in_part(const int*, int* to) {
    if (threadIdx.x % 2 == 0) *to = __shfl_xor_sync(0xffffffffu, 1, 2);
}

// to[0] counts; then the threads' numbers in the order of their turns, after a barrier.
static void note_turns(const int*, int* to) {
    __syncthreads();
    to[1 + to[0]++] = static_cast<int>(threadIdx.x);
}

// Where this thread is in a grid and a block of three dimensions.
static void locate(const int*, unsigned* to) {
    const unsigned in_block = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    to[block * blockDim.x * blockDim.y * blockDim.z + in_block] += 1;
}

struct Pair {
    char letter;
    double number;
};

// Arguments of several alignments.
static void unpack(char* to, char letter, Pair pair, short number) {
    to[0] = letter;
    to[1] = pair.letter;
    to[2] = static_cast<char>(pair.number);
    to[3] = static_cast<char>(number);
}

#define NAMED(name) cuda_on_cpu::kernel(#name, name)

const cuda_on_cpu::Kernel* cuda_on_cpu::find(const char* name) {
    static const Kernel kernels[] = {
        NAMED(reverse),         NAMED(race),       NAMED(sum_warps), NAMED(leave_early),
        NAMED(shuffle_in_part), NAMED(note_turns), NAMED(locate),    NAMED(unpack),
    };
    for (const Kernel& kernel : kernels)
        if (!std::strcmp(kernel.name, name)) return &kernel;
    return nullptr;
}
