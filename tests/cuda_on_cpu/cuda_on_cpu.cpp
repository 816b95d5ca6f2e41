#include "cuda_on_cpu.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fiber.hpp"

namespace cuda_on_cpu {

thread_local const Position* here;

namespace {

constexpr std::size_t STACK_BYTES = 65536;  // touched as far as it is needed
constexpr unsigned WARP = 32;

class Random {  // splitmix64
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    unsigned below(std::size_t bound) {
        std::uint64_t x = state_ += 0x9e3779b97f4a7c15;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
        return static_cast<unsigned>((x ^ (x >> 31)) % bound);
    }

private:
    std::uint64_t state_;
};

// Runs blocks, one after the other, on the OS thread that made it.
class Worker {
public:
    Worker(dim3 blocks, dim3 threads, const std::function<void()>& body)
        : body_(body),
          threads_(threads.x * threads.y * threads.z),
          stacks_(new char[STACK_BYTES * threads_.size()]) {
        for (unsigned i = 0; i < threads_.size(); ++i) {
            const uint3 at{i % threads.x, i / threads.x % threads.y, i / (threads.x * threads.y)};
            threads_[i].position = {at, {}, threads, blocks};
        }
        warps_.resize((threads_.size() + WARP - 1) / WARP);
    }

    void run(uint3 block, std::uint64_t seed) {
        current_ = this;
        Random random(seed);
        ready_.clear();
        for (unsigned i = 0; i < threads_.size(); ++i) {
            threads_[i].position.block = block;
            threads_[i].fiber.start(stacks_.get() + STACK_BYTES * i, STACK_BYTES, live, this);
            ready_.push_back(i);
        }
        ended_ = 0;
        while (!ready_.empty()) {
            std::swap(ready_[random.below(ready_.size())], ready_.back());
            running_ = ready_.back();
            ready_.pop_back();
            here = &threads_[running_].position;
            threads_[running_].fiber.resume();
        }
        if (ended_ < threads_.size())
            throw std::runtime_error(
                "block (" + std::to_string(block.x) + ", " + std::to_string(block.y) + ", " +
                std::to_string(block.z) + "): " + std::to_string(threads_.size() - ended_) + " of " +
                std::to_string(threads_.size()) +
                " threads wait in __syncthreads or a shuffle that the others never reach");
    }

    static Worker& current() { return *current_; }

    void arrive_at_barrier() { arrive(block_, static_cast<unsigned>(threads_.size())); }

    std::uint64_t exchange(std::uint64_t bits, unsigned lane) {
        const unsigned first = running_ / WARP * WARP;
        const unsigned lanes = std::min<unsigned>(WARP, static_cast<unsigned>(threads_.size()) - first);
        if (lane >= lanes) threads_[running_].fiber.suspend();  // for ever: its warp has no such lane
        // Two slots in turn: one is written again only when the whole warp has read the other.
        Thread& thread = threads_[running_];
        const unsigned slot = thread.exchanges++ % 2;
        thread.given[slot] = bits;
        arrive(warps_[first / WARP], lanes);
        return threads_[first + lane].given[slot];
    }

private:
    struct Thread {
        Fiber fiber;
        Position position;
        std::uint64_t given[2];
        unsigned exchanges = 0;
    };
    using Gate = std::vector<unsigned>;  // threads that wait there

    // Wait until `all` have arrived. The last one too goes on when its turn comes, in random order.
    void arrive(Gate& gate, unsigned all) {
        const unsigned self = running_;
        gate.push_back(self);
        if (gate.size() == all) {
            ready_.insert(ready_.end(), gate.begin(), gate.end());
            gate.clear();
        }
        threads_[self].fiber.suspend();
    }

    static void live(void* worker) {
        Worker& self = *static_cast<Worker*>(worker);
        self.body_();
        ++self.ended_;
        self.threads_[self.running_].fiber.suspend();
    }

    static thread_local Worker* current_;

    const std::function<void()>& body_;
    std::vector<Thread> threads_;
    std::unique_ptr<char[]> stacks_;
    Gate block_;
    std::vector<Gate> warps_;
    std::vector<unsigned> ready_;
    unsigned running_ = 0, ended_ = 0;
};

thread_local Worker* Worker::current_;

thread_local std::string error;

}  // namespace

void barrier() { Worker::current().arrive_at_barrier(); }

std::uint64_t exchange(std::uint64_t bits, unsigned lane) { return Worker::current().exchange(bits, lane); }

void launch(dim3 blocks, dim3 threads, const std::function<void()>& body, std::uint64_t seed,
            unsigned workers) {
    const std::uint64_t in_plane = static_cast<std::uint64_t>(blocks.x) * blocks.y;
    const std::uint64_t count = in_plane * blocks.z;
    std::atomic<std::uint64_t> next{0};
    std::exception_ptr failure;
    std::mutex failing;
    auto work = [&] {
        try {
            Worker worker(blocks, threads, body);
            for (std::uint64_t i; (i = next++) < count;) {
                const std::uint64_t x = i % blocks.x, y = i % in_plane / blocks.x, z = i / in_plane;
                worker.run({unsigned(x), unsigned(y), unsigned(z)}, seed * count + i);
            }
        } catch (...) {  // carried over to the caller's thread
            const std::lock_guard<std::mutex> lock(failing);
            if (!failure) failure = std::current_exception();
            next = count;
        }
    };
    std::vector<std::thread> running;  // never the caller's own: its shared memory is of an earlier launch
    for (unsigned i = 0; i < workers; ++i) running.emplace_back(work);
    for (std::thread& worker : running) worker.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace cuda_on_cpu

std::size_t cuda_on_cpu_packed_bytes(const char* name) {
    const cuda_on_cpu::Kernel* kernel = cuda_on_cpu::find(name);
    return kernel ? kernel->packed_bytes : 0;
}

int cuda_on_cpu_launch(const char* name, const unsigned blocks[3], const unsigned threads[3],
                       const char* packed, std::uint64_t seed, unsigned workers) {
    try {
        const cuda_on_cpu::Kernel* kernel = cuda_on_cpu::find(name);
        if (!kernel) throw std::runtime_error(std::string("there is no kernel ") + name);
        cuda_on_cpu::launch({blocks[0], blocks[1], blocks[2]}, {threads[0], threads[1], threads[2]},
                            kernel->bind(packed), seed, workers);
        return 0;
    } catch (const std::exception& caught) {
        cuda_on_cpu::error = caught.what();
        return 1;
    }
}

const char* cuda_on_cpu_error() { return cuda_on_cpu::error.c_str(); }
