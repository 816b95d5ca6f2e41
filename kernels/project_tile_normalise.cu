/*
project_tile_normalise: raw planes of several images to the network's input, in one pass.

Entry     project_tile_normalise_<u8|u16|f32>_<f32|f16|i8>(const In* planes, Out* patches, Arguments a)
Macros    COLVI_PATCH_PX, COLVI_CHANNELS, COLVI_KIND (see enum Kind), COLVI_CHANNELS_LAST (0 or 1), and of
          COLVI_TO_F32, COLVI_TO_F16, COLVI_TO_I8 those outputs that entry points are made for.
          variant.py is the other half of this contract: names, macros, grid, arguments, limits.
Launch    grid (patches of an image, groups of channels, images), block (256, 1, 1). A group is what one
          block owns: all channels of a patch for kind `patch` and for NHWC, one of them otherwise.
Input     planes[image][z][channel][y][x], of any strides, on the device or in mapped host memory
Output    patches[image][patch][channel][y][x], patches row-major, or [image][patch][y][x][channel] (NHWC);
          contiguous, aligned to 16 bytes
Edges     An incomplete last row or column of patches is not read. An empty channel (source -1) is
          zeros, which take part in the statistics of `patch`.
Numerics  T is the sum over Z; m and s are mean and population standard deviation of T,
              patch, patch-channel   (T - m) / s, and exactly 0 where max T == min T; there is no epsilon
              fixed, scale           (T - offset) * scale, of each channel
          m first, then s from what T lies beside m. For planes of integers T and its sum are exact and
          the rest is float32; for planes of float32 all is float64, which GeForce and Jetson compute
          slowly. Next to patches.py in float64: float32 within 1e-5 of max(1, |v|); float16 (nearest,
          ties to even) within 1 ULP; int8 (v / step, likewise, clamped to -128..127) within 1.
Limits    1,024 planes, so that what a thread adds up fits 32 bits; finite input; otherwise what a bundle
          may have: patches of 8 to 1024 pixels, 1 to 8 channels
Cost      Each value is read once and written once: for 1024 x 1024 x 3 uint16 and Z = 1 6.3 MB in, and
          12.6 (float32), 6.3 (float16) or 3.1 MB (int8) out. A group of more than 48 values a thread
          does not fit the registers: `patch` and `patch-channel` then read it three times, and add up
          its squares in float64.
          Rows are loaded by up to 16 bytes where they are planar and all addresses are multiples of
          that; misaligned and interleaved ones value by value.
*/

struct Arguments {
    unsigned long long image_stride, plane_stride, channel_stride;  // in values
    double offset[8];  // of each of the network's channels; of kind fixed, for float32 planes
    unsigned row_stride, column_stride;
    unsigned planes;
    unsigned rows, cols;  // of patches
    int source[8];        // raw channel, -1 where it is empty
    int whole[8];         // offset for planes of integers: one near to it,
    float part[8];        // and the rest
    float scale[8];
    float inverse_step;  // of int8
};
static_assert(sizeof(Arguments) == 240, "ARGUMENTS of variant.py");

struct Half {
    unsigned short bits;
};

namespace {

enum Kind { PATCH, PATCH_CHANNEL, FIXED, SCALE };

constexpr Kind KIND = static_cast<Kind>(COLVI_KIND);
constexpr bool CHANNELS_LAST = COLVI_CHANNELS_LAST;
constexpr unsigned PATCH_PX = COLVI_PATCH_PX;
constexpr unsigned CHANNELS = COLVI_CHANNELS;
constexpr unsigned THREADS = 256;
constexpr unsigned WARPS = THREADS / 32;
constexpr unsigned MOST_HELD = 48;  // values of T in a thread's registers; 64 of float64 spilled on sm_120

constexpr bool STANDARDISED = KIND == PATCH || KIND == PATCH_CHANNEL;
constexpr unsigned GROUP = KIND == PATCH || CHANNELS_LAST ? CHANNELS : 1;
constexpr unsigned MEANS = KIND == PATCH ? 1 : GROUP;  // of a group; channel c has mean c % MEANS
constexpr unsigned COUNT = PATCH_PX * PATCH_PX * GROUP / MEANS;  // of values that have one mean

using Size = unsigned long long;

template <bool FIRST, class A, class B> struct Choose { using Type = A; };
template <class A, class B> struct Choose<false, A, B> { using Type = B; };

// WIDTH neighbouring values of a row, moved by one instruction.
template <unsigned BYTES> struct Word;
template <> struct Word<1> { using Type = unsigned char; };
template <> struct Word<2> { using Type = unsigned short; };
template <> struct Word<4> { using Type = unsigned; };
template <> struct Word<8> { using Type = uint2; };
template <> struct Word<16> { using Type = uint4; };

template <class T, unsigned WIDTH> union Pack {
    typename Word<WIDTH * sizeof(T)>::Type word;
    T values[WIDTH];
};

__device__ constexpr unsigned strip_width(unsigned bytes) {
    unsigned width = 16 / bytes;
    while (PATCH_PX % width) width /= 2;
    return width;
}

// How T is held, and in which types is computed, for planes of uint8 and uint16. A mean, or an offset, is
// an integer near it and the rest: so the distance of T from the one is exact, and the other loses nothing.
struct Integer {
    using Value = unsigned;
    using Total = unsigned long long;
    using Real = float;
    static constexpr bool EXACT = true;  // equal values lie exactly on their mean

    struct Centre {
        int whole;
        float part;
    };
    static __device__ Centre mean(Total total) {
        const Total nearest = (total + COUNT / 2) / COUNT;
        const int rest = static_cast<int>(static_cast<long long>(total - nearest * COUNT));
        return {static_cast<int>(nearest), static_cast<float>(rest) * (1.0f / COUNT)};
    }
    static __device__ Centre offset(const Arguments& a, unsigned channel) {
        return {a.whole[channel], a.part[channel]};
    }
    static __device__ Real distance(Value t, Centre centre) {
        return static_cast<float>(static_cast<int>(t) - centre.whole);
    }
};

// The same for planes of float32.
struct Floating {
    using Value = double;
    using Total = double;
    using Real = double;
    static constexpr bool EXACT = false;
    static constexpr double HIGHEST = 1.7976931348623157e308;

    struct Centre {
        double whole, part;
    };
    static __device__ Centre mean(Total total) { return {total * (1.0 / COUNT), 0}; }
    static __device__ Centre offset(const Arguments& a, unsigned channel) { return {a.offset[channel], 0}; }
    static __device__ Real distance(Value t, Centre centre) { return t - centre.whole; }
};

template <class In> struct ArithmeticOf { using Type = Integer; };
template <> struct ArithmeticOf<float> { using Type = Floating; };

struct Sum {
    template <class T> static __device__ T of(T a, T b) { return a + b; }
};
struct Least {
    template <class T> static __device__ T of(T a, T b) { return b < a ? b : a; }
};
struct Most {
    template <class T> static __device__ T of(T a, T b) { return a < b ? b : a; }
};

// To reduce over the block: deposit, barrier, collect; every thread then has the same bits.
template <class Operation, class T> __device__ void deposit(T value, T (&warps)[WARPS]) {
#pragma unroll
    for (unsigned distance = 16; distance; distance /= 2)
        value = Operation::of(value, __shfl_xor_sync(0xffffffffu, value, distance));
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
}

template <class Operation, class T> __device__ T collect(const T (&warps)[WARPS]) {
    T value = warps[0];
#pragma unroll
    for (unsigned warp = 1; warp < WARPS; ++warp) value = Operation::of(value, warps[warp]);
    return value;
}

// As in cuda_fp16.h, which NVRTC does not bring. Where there is no PTX, in tests/cuda_on_cpu, it is defined.
#ifndef COLVI_HALF_BITS
#define COLVI_HALF_BITS(bits, value) asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value))
#endif

// A strip is WIDTH neighbouring pixels of a row in all channels of the group; strip number s of the patch
// belongs to thread s % THREADS, in round s / THREADS. A thread looks at its strips up to three times.
template <class In, class Out> class Block {
    using Arithmetic = typename ArithmeticOf<In>::Type;
    using Value = typename Arithmetic::Value;
    using Total = typename Arithmetic::Total;
    using Real = typename Arithmetic::Real;
    using Centre = typename Arithmetic::Centre;

    static constexpr unsigned WIDTH = strip_width(sizeof(In) < sizeof(Out) ? sizeof(Out) : sizeof(In));
    static constexpr unsigned STRIPS_A_ROW = PATCH_PX / WIDTH;
    static constexpr unsigned STRIPS = PATCH_PX * STRIPS_A_ROW;
    static constexpr unsigned ROUNDS = (STRIPS + THREADS - 1) / THREADS;
    static constexpr bool HELD = ROUNDS * GROUP * WIDTH <= MOST_HELD;
    static constexpr unsigned BATCH = HELD ? ROUNDS : 1;  // rounds that are projected together

    // Of one thread. Sums of more than MOST_HELD values would overflow, or drift.
    using Subtotal = typename Choose<HELD, Value, Total>::Type;
    using Square = typename Choose<HELD, Real, double>::Type;

    const Arguments& a;
    const unsigned first_channel;
    const In* const corner;  // of the patch, in plane 0 and raw channel 0
    const bool in_one_piece;
    Value sums[BATCH][GROUP][WIDTH];  // T

public:
    __device__ Block(const In* planes, const Arguments& arguments)
        : a(arguments),
          first_channel(GROUP == CHANNELS ? 0 : blockIdx.y),
          corner(planes + blockIdx.z * a.image_stride +
                 blockIdx.x / a.cols * PATCH_PX * static_cast<Size>(a.row_stride) +
                 blockIdx.x % a.cols * PATCH_PX * static_cast<Size>(a.column_stride)),
          in_one_piece(a.column_stride == 1 && reinterpret_cast<Size>(planes) % (WIDTH * sizeof(In)) == 0 &&
                       (a.image_stride | a.plane_stride | a.channel_stride | a.row_stride) % WIDTH == 0) {}

    __device__ void run(Out* patches) {
        Centre centre[MEANS];
        Real scale[MEANS];
        if (STANDARDISED) {
            standardise(centre, scale);
        } else {
#pragma unroll
            for (unsigned m = 0; m < MEANS; ++m) {
                centre[m] = Arithmetic::offset(a, first_channel + m);
                scale[m] = a.scale[first_channel + m];
            }
        }
        const Size patch = blockIdx.z * static_cast<Size>(gridDim.x) + blockIdx.x;
        auto to = reinterpret_cast<Pack<Out, WIDTH>*>(patches) + (patch * CHANNELS + first_channel) * STRIPS;
        each_strip<STANDARDISED>([&](unsigned strip, const Value(&t)[GROUP][WIDTH]) {
            Pack<Out, WIDTH> packs[GROUP];
            each_value([&](unsigned c, unsigned j) {
                const unsigned m = c % MEANS, place = CHANNELS_LAST ? j * GROUP + c : c * WIDTH + j;
                const Real value =
                    Arithmetic::distance(t[c][j], centre[m]) * scale[m] - centre[m].part * scale[m];
                put(packs[place / WIDTH].values[place % WIDTH], static_cast<float>(value), a.inverse_step);
            });
#pragma unroll
            for (unsigned c = 0; c < GROUP; ++c)
                to[CHANNELS_LAST ? strip * GROUP + c : c * STRIPS + strip].word = packs[c].word;
        });
    }

private:
    __device__ void standardise(Centre (&centre)[MEANS], Real (&scale)[MEANS]) {
        __shared__ Total totals[MEANS][WARPS];
        __shared__ Value lows[MEANS][WARPS], highs[MEANS][WARPS];
        __shared__ Square squares[MEANS][WARPS];

        Subtotal total[MEANS] = {};
        Value low[MEANS] = {}, high[MEANS] = {};
        if constexpr (!Arithmetic::EXACT) {
#pragma unroll
            for (unsigned m = 0; m < MEANS; ++m) low[m] = Arithmetic::HIGHEST, high[m] = -Arithmetic::HIGHEST;
        }
        each_strip<false>([&](unsigned, const Value(&t)[GROUP][WIDTH]) {
            each_value([&](unsigned c, unsigned j) {
                const unsigned m = c % MEANS;
                total[m] += t[c][j];
                if (!Arithmetic::EXACT) {
                    low[m] = Least::of(low[m], t[c][j]);
                    high[m] = Most::of(high[m], t[c][j]);
                }
            });
        });
#pragma unroll
        for (unsigned m = 0; m < MEANS; ++m) {
            deposit<Sum>(static_cast<Total>(total[m]), totals[m]);
            if (!Arithmetic::EXACT) {
                deposit<Least>(low[m], lows[m]);
                deposit<Most>(high[m], highs[m]);
            }
        }
        __syncthreads();

        Square square[MEANS] = {};
#pragma unroll
        for (unsigned m = 0; m < MEANS; ++m) centre[m] = Arithmetic::mean(collect<Sum>(totals[m]));
        each_strip<true>([&](unsigned, const Value(&t)[GROUP][WIDTH]) {
            each_value([&](unsigned c, unsigned j) {
                const Square distance = Arithmetic::distance(t[c][j], centre[c % MEANS]);
                square[c % MEANS] += distance * distance;
            });
        });
#pragma unroll
        for (unsigned m = 0; m < MEANS; ++m) deposit<Sum>(square[m], squares[m]);
        __syncthreads();

#pragma unroll
        for (unsigned m = 0; m < MEANS; ++m) {
            // The mean square of the distances from `whole` is the variance and part^2, which is no more
            // than half of it, because distances are integers or part is 0: few digits cancel.
            const Square part = centre[m].part;
            const Square variance = collect<Sum>(squares[m]) * (Square(1) / COUNT) - part * part;
            const bool constant =
                Arithmetic::EXACT ? variance == 0 : collect<Least>(lows[m]) == collect<Most>(highs[m]);
            scale[m] = constant ? 0 : static_cast<Real>(rsqrt(variance));
        }
    }

    // Call visit(strip, T) for each strip of this thread. Unless T is held, it is projected each time.
    template <bool AGAIN, class Visit> __device__ void each_strip(Visit visit) {
#pragma unroll 1
        for (unsigned round = 0; round < ROUNDS; round += BATCH) {
            if (!(HELD && AGAIN)) in_one_piece ? project<true>(round) : project<false>(round);
#pragma unroll
            for (unsigned b = 0; b < BATCH; ++b) {
                const unsigned strip = (round + b) * THREADS + threadIdx.x;
                if (STRIPS % THREADS == 0 || strip < STRIPS) visit(strip, sums[b]);
            }
        }
    }

    // Call visit(c, j) for each value of a strip.
    template <class Visit> static __device__ void each_value(Visit visit) {
#pragma unroll
        for (unsigned c = 0; c < GROUP; ++c)
#pragma unroll
            for (unsigned j = 0; j < WIDTH; ++j) visit(c, j);
    }

    static __device__ void put(float& to, float value, float) { to = value; }
    static __device__ void put(Half& to, float value, float) { COLVI_HALF_BITS(to.bits, value); }
    static __device__ void put(signed char& to, float value, float inverse_step) {
        to = static_cast<signed char>(fminf(fmaxf(rintf(value * inverse_step), -128.0f), 127.0f));
    }

    template <bool IN_ONE_PIECE> __device__ void project(unsigned first_round) {
#pragma unroll
        for (unsigned b = 0; b < BATCH; ++b) each_value([&](unsigned c, unsigned j) { sums[b][c][j] = 0; });
        const In* plane = corner;
#pragma unroll 1
        for (unsigned z = 0; z < a.planes; ++z, plane += a.plane_stride) {
            Pack<In, WIDTH> raw[BATCH][GROUP];  // all loads of a plane are in flight before the first sum
            unsigned thread = threadIdx.x;
            // Hides that addresses repeat from plane to plane: kept, they took 197 registers instead of 93.
            asm volatile("" : "+r"(thread));
#pragma unroll
            for (unsigned c = 0; c < GROUP; ++c) {
                const int source = a.source[first_channel + c];
                const In* channel = plane + (source < 0 ? 0 : source) * a.channel_stride;
#pragma unroll
                for (unsigned b = 0; b < BATCH; ++b) {
                    const unsigned strip = (first_round + b) * THREADS + thread;
                    raw[b][c].word = {};
                    if (source >= 0 && (STRIPS % THREADS == 0 || strip < STRIPS))
                        load<IN_ONE_PIECE>(raw[b][c], channel, strip);
                }
            }
#pragma unroll
            for (unsigned b = 0; b < BATCH; ++b)
                each_value([&](unsigned c, unsigned j) { sums[b][c][j] += raw[b][c].values[j]; });
        }
    }

    template <bool IN_ONE_PIECE>
    __device__ void load(Pack<In, WIDTH>& raw, const In* channel, unsigned strip) const {
        const unsigned row = strip / STRIPS_A_ROW, column = strip % STRIPS_A_ROW * WIDTH;
        if (IN_ONE_PIECE) {
            const In* from = channel + (row * a.row_stride + column);
            raw.word = __ldg(reinterpret_cast<const decltype(raw.word)*>(from));
        } else {
#pragma unroll
            for (unsigned j = 0; j < WIDTH; ++j)
                raw.values[j] = __ldg(channel + (row * a.row_stride + (column + j) * a.column_stride));
        }
    }
};

}  // namespace

#define COLVI_ENTRY(in, In, out, Out)                                                          \
    extern "C" __global__ void __launch_bounds__(THREADS) project_tile_normalise_##in##_##out( \
        const In* planes, Out* patches, const Arguments a) {                                   \
        Block<In, Out>(planes, a).run(patches);                                                \
    }
#define COLVI_ENTRIES(out, Out)                \
    COLVI_ENTRY(u8, unsigned char, out, Out)   \
    COLVI_ENTRY(u16, unsigned short, out, Out) \
    COLVI_ENTRY(f32, float, out, Out)

#ifdef COLVI_TO_F32
COLVI_ENTRIES(f32, float)
#endif
#ifdef COLVI_TO_F16
COLVI_ENTRIES(f16, Half)
#endif
#ifdef COLVI_TO_I8
COLVI_ENTRIES(i8, signed char)
#endif
