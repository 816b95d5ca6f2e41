// A CUDA driver without a GPU, for tests of the host code: pycuda's and our own calls end here.
//
//   g++ -std=c++17 -shared -fPIC -Wl,-soname,libcuda.so.1 -o libcuda.so.1 fake_cuda.cpp -ldl
//
// Device memory is host memory between two guards. A stream does nothing until it is waited for, the
// laziest that CUDA allows, so that a missing wait shows. A "cubin" is a library of tests/cuda_on_cpu.
// It is stricter than CUDA where our code promises more: asynchronous copies want page-locked memory, and a
// stream stays in the thread that made it.
// What a test asks of it begins with fake_, at the end.

#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

using Result = int;
using Pointer = unsigned long long;
using Operation = std::function<Result()>;

enum : Result {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100,
    INVALID_CONTEXT = 201, NO_BINARY_FOR_GPU = 209, INVALID_PTX = 218, INVALID_HANDLE = 400, NOT_FOUND = 500,
    NOT_READY = 600, ILLEGAL_ADDRESS = 700, LAUNCH_FAILED = 719, CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901
};

struct Context {};
struct Graph { std::vector<Operation> operations; };
struct Stream {
    std::vector<Operation> waiting;
    Graph* recording = nullptr;
    bool spoilt = false;  // what was asked of it cannot be recorded
};
struct Event { Stream* stream = nullptr; std::chrono::steady_clock::time_point time; };
struct Module;
struct Function { std::string name; size_t packed_bytes; const Module* module; };
struct Module {
    void* library;
    size_t (*packed_bytes)(const char* name);
    int (*launch)(const char* name, const unsigned blocks[3], const unsigned threads[3], const char* packed,
                  uint64_t seed, unsigned workers);
    const char* (*error)();
    std::map<std::string, Function> functions;
};
struct Memory { size_t bytes; bool on_host; bool mapped; };

namespace {

constexpr size_t GUARD = 256;  // bytes before and behind device memory; CUDA aligns to as many
constexpr unsigned char MARK = 0xa5;

std::mutex driver;
bool initialised;
std::map<std::string, long> settings, calls;
std::map<std::string, std::pair<long, Result>> failures;  // which call fails, and how
std::map<Pointer, Memory> memory;
std::map<std::string, std::set<void*>> handles;  // live objects of each kind
Context primary;
int retained;
Result lost;  // what everything in the context answers from now on
thread_local std::vector<Context*> current;
thread_local std::set<Stream*> own_streams;

Result begin(const char* name, bool in_context) {
    const long call = ++calls[name];
    auto failure = failures.find(name);
    if (failure != failures.end() && call == failure->second.first) {
        if (settings["sticky"]) lost = failure->second.second;
        return failure->second.second;
    }
    if (!in_context) return SUCCESS;
    if (!initialised) return NOT_INITIALIZED;
    if (current.empty() || !retained) return INVALID_CONTEXT;
    return lost;
}

Result complain(const char* what) {
    fprintf(stderr, "fake CUDA: %s\n", what);
    return INVALID_VALUE;
}

template <class T> T* made(const char* kind, T* object) {
    handles[kind].insert(object);
    return object;
}

template <class T> bool gone(const char* kind, T* object) { return !handles[kind].erase(object); }

// The allocation that holds a range, or null.
const Memory* holding(Pointer address, size_t bytes) {
    auto after = memory.upper_bound(address);
    if (after == memory.begin()) return nullptr;
    const auto& [start, found] = *std::prev(after);
    return address + bytes <= start + found.bytes ? &found : nullptr;
}

// Without the lock: a host function may need Python's, which may be held by a thread that waits for ours.
Result run(Stream& stream) {
    auto operations = std::move(stream.waiting);
    stream.waiting.clear();
    driver.unlock();
    Result failed = SUCCESS;
    for (auto& operation : operations)
        if (!failed) failed = operation();
    driver.lock();
    return lost = lost ? lost : failed;
}

Result run_all() {
    for (Stream* stream : own_streams) run(*stream);
    return lost;
}

Result put(Stream* stream, Operation operation) {
    if (!own_streams.count(stream)) return complain("work on the default stream, or on another thread's");
    (stream->recording ? stream->recording->operations : stream->waiting).push_back(std::move(operation));
    return SUCCESS;
}

bool is_there(Pointer address, size_t bytes) {  // asked by an operation, which runs without the lock
    const std::lock_guard<std::mutex> lock(driver);
    return holding(address, bytes) != nullptr;
}

Result copy(Pointer device, void* host, size_t bytes, bool to_device, Stream* stream) {
    const Memory* there = holding(device, bytes);
    const Memory* here = holding(reinterpret_cast<Pointer>(host), bytes);
    if (!there || there->on_host) return complain("a copy beyond the device's memory");
    if (!here || !here->on_host) return complain("an asynchronous copy of memory that is not page-locked");
    calls[to_device ? "bytes up" : "bytes down"] += bytes;
    return put(stream, [=] {
        if (!is_there(device, bytes) || !is_there(reinterpret_cast<Pointer>(host), bytes))
            return ILLEGAL_ADDRESS;
        void* on_device = reinterpret_cast<void*>(device);
        memcpy(to_device ? on_device : host, to_device ? host : on_device, bytes);
        return SUCCESS;
    });
}

bool guards_hold(Pointer start, size_t bytes) {
    auto* before = reinterpret_cast<unsigned char*>(start) - GUARD;
    auto* behind = reinterpret_cast<unsigned char*>(start) + bytes;
    for (size_t i = 0; i < GUARD; ++i)
        if (before[i] != MARK || behind[i] != MARK) return false;
    return true;
}

size_t elf_bytes(const void* image) {
    auto* header = static_cast<const Elf64_Ehdr*>(image);
    return header->e_shoff + size_t(header->e_shnum) * header->e_shentsize;
}

template <class T> void find(void* library, const char* name, T*& function) {
    function = reinterpret_cast<T*>(dlsym(library, name));
}

}  // namespace

#define LOCK std::lock_guard<std::mutex> lock(driver)
#define BEGIN LOCK; if (Result failed = begin(__func__, true)) return failed
#define BEGIN_WITHOUT_CONTEXT LOCK; if (Result failed = begin(__func__, false)) return failed
#define REFUSE_RECORDING(stream) \
    if ((stream)->recording) { (stream)->spoilt = true; return CAPTURE_UNSUPPORTED; }

extern "C" {

Result cuInit(unsigned) {
    BEGIN_WITHOUT_CONTEXT;
    if (!settings["devices"]) return NO_DEVICE;
    initialised = true;
    return SUCCESS;
}
Result cuDriverGetVersion(int* version) { BEGIN_WITHOUT_CONTEXT; *version = 12060; return SUCCESS; }
Result cuDeviceGetCount(int* count) { BEGIN_WITHOUT_CONTEXT; *count = settings["devices"]; return SUCCESS; }
Result cuDeviceGet(int* device, int) {
    BEGIN_WITHOUT_CONTEXT;
    *device = 0;
    return initialised ? SUCCESS : NOT_INITIALIZED;
}
Result cuDeviceGetName(char* name, int bytes, int) {
    BEGIN_WITHOUT_CONTEXT;
    snprintf(name, bytes, "fake GPU");
    return SUCCESS;
}
Result cuDeviceGetAttribute(int* value, int attribute, int) {
    BEGIN_WITHOUT_CONTEXT;
    switch (attribute) {
        case 18: *value = settings["integrated"]; return SUCCESS;
        case 75: *value = settings["capability"] / 10; return SUCCESS;
        case 76: *value = settings["capability"] % 10; return SUCCESS;
        default: return complain("a device attribute that it does not know");
    }
}
Result cuDeviceComputeCapability(int* major, int* minor, int) {
    BEGIN_WITHOUT_CONTEXT;
    *major = settings["capability"] / 10, *minor = settings["capability"] % 10;
    return SUCCESS;
}
Result cuGetErrorString(Result error, const char** text) {
    static const std::map<Result, const char*> known = {
        {OUT_OF_MEMORY, "out of memory"}, {NO_DEVICE, "no CUDA-capable device is detected"},
        {NO_BINARY_FOR_GPU, "no kernel image is available"}, {ILLEGAL_ADDRESS, "an illegal memory access"},
    };
    thread_local char number[32];
    snprintf(number, sizeof number, "fake CUDA error %d", error);
    auto found = known.find(error);
    *text = found == known.end() ? number : found->second;
    return SUCCESS;
}

Result cuDevicePrimaryCtxRetain(Context** context, int) {
    BEGIN_WITHOUT_CONTEXT;
    ++retained;
    *context = &primary;
    return SUCCESS;
}
Result cuDevicePrimaryCtxRelease_v2(int) {
    BEGIN_WITHOUT_CONTEXT;
    if (!retained) return INVALID_CONTEXT;
    if (!--retained) lost = SUCCESS;  // the next one is a new context
    return SUCCESS;
}
Result cuCtxPushCurrent_v2(Context* context) {
    BEGIN_WITHOUT_CONTEXT;
    current.push_back(context);
    return SUCCESS;
}
Result cuCtxPopCurrent_v2(Context** context) {
    BEGIN;
    *context = current.back();
    current.pop_back();
    return SUCCESS;
}
Result cuCtxGetDevice(int* device) { BEGIN; *device = 0; return SUCCESS; }
Result cuCtxSynchronize() {
    BEGIN;
    for (Stream* stream : own_streams) REFUSE_RECORDING(stream);
    return run_all();
}

Result cuMemAlloc_v2(Pointer* address, size_t bytes) {
    BEGIN;
    size_t used = 0;
    for (auto& [start, found] : memory) used += found.on_host ? 0 : found.bytes;
    if (used + bytes > size_t(settings["memory"])) return OUT_OF_MEMORY;
    auto* block = static_cast<unsigned char*>(aligned_alloc(GUARD, (bytes + 3 * GUARD) / GUARD * GUARD));
    memset(block, MARK, bytes + 2 * GUARD);
    *address = reinterpret_cast<Pointer>(block + GUARD);
    memory[*address] = {bytes, false, false};
    return SUCCESS;
}
Result cuMemFree_v2(Pointer address) {
    BEGIN;
    auto found = memory.find(address);
    if (found == memory.end() || found->second.on_host) return complain("memory is freed that is not there");
    run_all();
    if (!guards_hold(address, found->second.bytes))
        return complain("something wrote beyond the device's memory");
    memory.erase(found);
    free(reinterpret_cast<char*>(address) - GUARD);
    return SUCCESS;
}
Result cuMemHostAlloc(void** address, size_t bytes, unsigned flags) {
    BEGIN;
    *address = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    memory[reinterpret_cast<Pointer>(*address)] = {bytes, true, (flags & 2) != 0};
    return SUCCESS;
}
Result cuMemFreeHost(void* address) {
    BEGIN;
    auto found = memory.find(reinterpret_cast<Pointer>(address));
    if (found == memory.end() || !found->second.on_host)
        return complain("page-locked memory is freed that is not there");
    run_all();
    memory.erase(found);
    free(address);
    return SUCCESS;
}
Result cuMemHostGetDevicePointer_v2(Pointer* device, void* host, unsigned) {
    BEGIN;
    auto found = memory.find(reinterpret_cast<Pointer>(host));
    if (found == memory.end() || !found->second.mapped)
        return complain("memory that is not mapped to the device");
    *device = reinterpret_cast<Pointer>(host);
    return SUCCESS;
}
Result cuMemGetInfo_v2(size_t* free, size_t* total) {
    BEGIN;
    *free = *total = settings["memory"];
    for (auto& [start, found] : memory) *free -= found.on_host ? 0 : found.bytes;
    return SUCCESS;
}
Result cuMemsetD8_v2(Pointer address, unsigned char value, size_t bytes) {
    BEGIN;
    if (!holding(address, bytes)) return complain("a fill beyond the device's memory");
    memset(reinterpret_cast<void*>(address), value, bytes);
    return SUCCESS;
}
Result cuMemcpyHtoD_v2(Pointer device, const void* host, size_t bytes) {
    BEGIN;
    if (!holding(device, bytes)) return complain("a copy beyond the device's memory");
    memcpy(reinterpret_cast<void*>(device), host, bytes);
    return SUCCESS;
}
Result cuMemcpyDtoH_v2(void* host, Pointer device, size_t bytes) {
    BEGIN;
    if (!holding(device, bytes)) return complain("a copy beyond the device's memory");
    memcpy(host, reinterpret_cast<void*>(device), bytes);
    return SUCCESS;
}
Result cuMemcpyHtoDAsync_v2(Pointer device, const void* host, size_t bytes, Stream* stream) {
    BEGIN;
    return copy(device, const_cast<void*>(host), bytes, true, stream);
}
Result cuMemcpyDtoHAsync_v2(void* host, Pointer device, size_t bytes, Stream* stream) {
    BEGIN;
    return copy(device, host, bytes, false, stream);
}
Result cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, Stream* stream) {
    BEGIN;
    if (!holding(to, bytes) || !holding(from, bytes)) return complain("a copy beyond the device's memory");
    return put(stream, [=] {
        memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes);
        return SUCCESS;
    });
}

Result cuStreamCreate(Stream** stream, unsigned) {
    BEGIN;
    own_streams.insert(*stream = made("streams", new Stream));
    return SUCCESS;
}
Result cuStreamDestroy_v2(Stream* stream) {
    BEGIN;
    if (gone("streams", stream)) return INVALID_HANDLE;
    run(*stream);
    own_streams.erase(stream);
    delete stream;
    return SUCCESS;
}
Result cuStreamSynchronize(Stream* stream) { BEGIN; REFUSE_RECORDING(stream); return run(*stream); }
Result cuStreamQuery(Stream* stream) { BEGIN; return stream->waiting.empty() ? SUCCESS : NOT_READY; }
Result cuLaunchHostFunc(Stream* stream, void (*function)(void*), void* data) {
    BEGIN;
    return put(stream, [=] { function(data); return SUCCESS; });
}

Result cuEventCreate(Event** event, unsigned) { BEGIN; *event = made("events", new Event); return SUCCESS; }
Result cuEventDestroy_v2(Event* event) {
    BEGIN;
    if (gone("events", event)) return INVALID_HANDLE;
    delete event;
    return SUCCESS;
}
Result cuEventRecord(Event* event, Stream* stream) {
    BEGIN;
    event->stream = stream;
    return put(stream, [=] { event->time = std::chrono::steady_clock::now(); return SUCCESS; });
}
Result cuEventSynchronize(Event* event) { BEGIN; return run(*event->stream); }
Result cuEventElapsedTime(float* ms, Event* first, Event* last) {
    BEGIN;
    *ms = std::chrono::duration<float, std::milli>(last->time - first->time).count();
    return SUCCESS;
}

Result cuModuleLoadDataEx(Module** module, const void* image, unsigned count, const int* options,
                          void** values) {
    for (unsigned i = 0; i < count; ++i) {  // the compiler's logs: empty, or not written at all
        const bool log = options[i] == 3 || options[i] == 5, bytes_of_log = options[i] == 4 || options[i] == 6;
        if (log && settings["silent"]) memcpy(values[i], "\xf4", 2);
        if (bytes_of_log && !settings["silent"]) values[i] = nullptr;
    }
    BEGIN;
    if (memcmp(image, ELFMAG, SELFMAG)) return INVALID_PTX;
    if (static_cast<const Elf64_Ehdr*>(image)->e_machine != EM_X86_64) return NO_BINARY_FOR_GPU;
    char path[] = "/tmp/fake_cuda_XXXXXX";  // a new name each time: dlopen knows libraries by theirs
    const int file = mkstemp(path);
    const bool whole = write(file, image, elf_bytes(image)) == ssize_t(elf_bytes(image));
    close(file);
    void* library = whole ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
    unlink(path);
    if (!library) return complain("no room for the kernels, or no kernels");
    *module = made("modules", new Module{});
    (*module)->library = library;
    find(library, "cuda_on_cpu_packed_bytes", (*module)->packed_bytes);
    find(library, "cuda_on_cpu_launch", (*module)->launch);
    find(library, "cuda_on_cpu_error", (*module)->error);
    return SUCCESS;
}
Result cuModuleUnload(Module* module) {
    BEGIN;
    if (gone("modules", module)) return INVALID_HANDLE;
    run_all();
    dlclose(module->library);
    delete module;
    return SUCCESS;
}
Result cuModuleGetFunction(Function** function, Module* module, const char* name) {
    BEGIN;
    const size_t packed_bytes = module->packed_bytes(name);
    if (!packed_bytes) return NOT_FOUND;
    *function = &(module->functions[name] = {name, packed_bytes, module});
    return SUCCESS;
}
Result cuFuncSetBlockShape(Function*, int, int, int) { BEGIN; return SUCCESS; }
Result cuLaunchKernel(Function* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                      unsigned block_y, unsigned block_z, unsigned, Stream* stream, void**, void** extra) {
    BEGIN;
    std::vector<char> packed;  // the arguments; the caller's may be gone when the kernel runs
    for (void* from = nullptr; *extra; extra += 2) {
        if (*extra == reinterpret_cast<void*>(1)) from = extra[1];
        if (*extra == reinterpret_cast<void*>(2))
            packed.assign(static_cast<char*>(from), static_cast<char*>(from) + *static_cast<size_t*>(extra[1]));
    }
    const Function kernel = *function;
    if (packed.size() != kernel.packed_bytes) return complain("a kernel's arguments have another size");
    return put(stream, [=] {
        Pointer pointers[2];  // with which the arguments of all our kernels begin
        memcpy(pointers, packed.data(), sizeof pointers);
        if (!is_there(pointers[0], 1) || !is_there(pointers[1], 1)) return ILLEGAL_ADDRESS;
        const unsigned blocks[] = {grid_x, grid_y, grid_z}, threads[] = {block_x, block_y, block_z};
        if (!kernel.module->launch(kernel.name.c_str(), blocks, threads, packed.data(), 0, 2)) return SUCCESS;
        complain(kernel.module->error());
        return LAUNCH_FAILED;
    });
}

Result cuStreamBeginCapture_v2(Stream* stream, int) {
    BEGIN;
    if (stream->recording) return complain("a stream is recorded twice at once");
    stream->recording = made("graphs", new Graph);
    stream->spoilt = false;
    return SUCCESS;
}
Result cuStreamEndCapture(Stream* stream, Graph** graph) {
    LOCK;
    Result failed = begin(__func__, true);
    if (!failed && stream->spoilt) failed = CAPTURE_INVALIDATED;
    *graph = stream->recording;
    stream->recording = nullptr;
    if (!failed) return *graph ? SUCCESS : INVALID_VALUE;
    gone("graphs", *graph);
    delete *graph;
    *graph = nullptr;
    return failed;
}
Result cuGraphInstantiateWithFlags(Graph** executable, Graph* graph, unsigned long long) {
    BEGIN;
    *executable = made("executable graphs", new Graph(*graph));
    return SUCCESS;
}
Result cuGraphLaunch(Graph* executable, Stream* stream) {
    BEGIN;
    for (auto& operation : executable->operations)
        if (Result failed = put(stream, operation)) return failed;
    return SUCCESS;
}
Result cuGraphDestroy(Graph* graph) {
    BEGIN;
    if (gone("graphs", graph)) return INVALID_HANDLE;
    delete graph;
    return SUCCESS;
}
Result cuGraphExecDestroy(Graph* graph) {
    BEGIN;
    if (gone("executable graphs", graph)) return INVALID_HANDLE;
    delete graph;
    return SUCCESS;
}

// What tests ask for.

void fake_reset() {  // one new GPU of 1 GiB
    LOCK;
    memory.clear();
    handles.clear();
    retained = 0;
    settings = {{"devices", 1}, {"integrated", 0}, {"capability", 86}, {"memory", 1L << 30}};
    calls.clear();
    failures.clear();
    lost = SUCCESS;
}
void fake_set(const char* setting, long value) { LOCK; settings[setting] = value; }
void fake_fail(const char* function, long after, Result error) {  // the call after so many more
    LOCK;
    failures[function] = {calls[function] + after + 1, error};
}
void fake_lose(Result error) { LOCK; lost = error; }
long fake_calls(const char* function) { LOCK; return calls[function]; }
const char* fake_called(unsigned long index) {  // what was called, in alphabetical order
    LOCK;
    return index < calls.size() ? std::next(calls.begin(), index)->first.c_str() : nullptr;
}
int fake_holds(Pointer address, size_t bytes) { LOCK; return holding(address, bytes) != nullptr; }
long fake_live(const char* kind) {
    LOCK;
    const std::string wanted = kind;
    if (wanted == "contexts") return retained;
    if (wanted != "device memory" && wanted != "host memory") return handles[wanted].size();
    long count = 0;
    for (auto& [start, found] : memory) count += found.on_host == (wanted == "host memory");
    return count;
}
}
