/*
int8_peak: how many multiplications and additions of bytes a second the cores can do, at most.

    gcc -O2 -march=native -pthread benchmarks/int8_peak.c -o build/int8_peak && build/int8_peak

Nothing is read or written: independent accumulators in registers (or AMX tiles), one thread for each core
that the process may use. Prints the median and the best of nine runs. The network's floor is its
multiplications over this.
*/
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { RUNS = 9, MOST_CORES = 256 };

typedef struct {
    const char *name;
    double macs_a_step; /* multiplications of one call of `work` for one step */
    long steps;
    void (*work)(long steps);
} Unit;

static volatile int32_t sink; /* or the compiler would drop the sums that nobody reads */

#if defined(__AMX_INT8__)
static void amx(long steps)
{
    struct { uint8_t palette, start_row, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape;
    memset(&shape, 0, sizeof shape);
    shape.palette = 1;
    for (int tile = 0; tile < 8; tile++) {
        shape.bytes[tile] = 64;
        shape.rows[tile] = 16;
    }
    __asm__ volatile("" : : "r"(&shape) : "memory"); /* GCC 12 does not see that the next line reads it */
    _tile_loadconfig(&shape);
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    _tile_zero(4); _tile_zero(5); _tile_zero(6); _tile_zero(7);
    for (long step = 0; step < steps; step++) {
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 4, 7);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
    }
    _tile_release();
}
#endif

#if defined(__AVX512VNNI__)
static void vnni(long steps)
{
    __m512i sums[20], a = _mm512_set1_epi8(1), b = _mm512_set1_epi8(2);
#pragma GCC unroll 20
    for (int n = 0; n < 20; n++) sums[n] = _mm512_set1_epi32(n);
    for (long step = 0; step < steps; step++) {
#pragma GCC unroll 20
        for (int n = 0; n < 20; n++) {
            sums[n] = _mm512_dpbusd_epi32(sums[n], a, b);
            __asm__ volatile("" : "+v"(sums[n])); /* each is done, none folded into another */
        }
    }
#pragma GCC unroll 20
    for (int n = 0; n < 20; n++) sink += _mm512_reduce_add_epi32(sums[n]);
}
#elif defined(__AVXVNNI__)
static void vnni(long steps)
{
    __m256i sums[12], a = _mm256_set1_epi8(1), b = _mm256_set1_epi8(2);
#pragma GCC unroll 12
    for (int n = 0; n < 12; n++) sums[n] = _mm256_set1_epi32(n);
    for (long step = 0; step < steps; step++) {
#pragma GCC unroll 12
        for (int n = 0; n < 12; n++) {
            sums[n] = _mm256_dpbusd_avx_epi32(sums[n], a, b);
            __asm__ volatile("" : "+x"(sums[n]));
        }
    }
#pragma GCC unroll 12
    for (int n = 0; n < 12; n++) sink += _mm256_extract_epi32(sums[n], 0);
}
#elif defined(__ARM_FEATURE_DOTPROD)
static void vnni(long steps)
{
    int32x4_t sums[20];
    int8x16_t a = vdupq_n_s8(1), b = vdupq_n_s8(2);
#pragma GCC unroll 20
    for (int n = 0; n < 20; n++) sums[n] = vdupq_n_s32(n);
    for (long step = 0; step < steps; step++) {
#pragma GCC unroll 20
        for (int n = 0; n < 20; n++) {
            sums[n] = vdotq_s32(sums[n], a, b);
            __asm__ volatile("" : "+w"(sums[n]));
        }
    }
#pragma GCC unroll 20
    for (int n = 0; n < 20; n++) sink += vaddvq_s32(sums[n]);
}
#endif

static pthread_barrier_t gate;

typedef struct {
    const Unit *unit;
    pthread_t thread;
    double begin, end;
} Core;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void *run(void *given)
{
    Core *core = given;
    pthread_barrier_wait(&gate);
    core->begin = seconds();
    core->unit->work(core->unit->steps);
    core->end = seconds();
    return NULL;
}

/* Return GMAC/s of all threads together, from the first one's begin to the last one's end. */
static double measure(const Unit *unit, int threads)
{
    Core cores[MOST_CORES];
    pthread_barrier_init(&gate, NULL, (unsigned)threads);
    for (int n = 0; n < threads; n++) {
        cores[n].unit = unit;
        pthread_create(&cores[n].thread, NULL, run, &cores[n]);
    }
    double begin = 1e300, end = 0;
    for (int n = 0; n < threads; n++) {
        pthread_join(cores[n].thread, NULL);
        begin = cores[n].begin < begin ? cores[n].begin : begin;
        end = cores[n].end > end ? cores[n].end : end;
    }
    pthread_barrier_destroy(&gate);
    return unit->macs_a_step * (double)unit->steps * threads / (end - begin) / 1e9;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    cpu_set_t usable;
    sched_getaffinity(0, sizeof usable, &usable);
    int cores = CPU_COUNT(&usable) < MOST_CORES ? CPU_COUNT(&usable) : MOST_CORES;
    Unit units[2];
    int count = 0;
#if defined(__AVX512VNNI__)
    units[count++] = (Unit){"AVX-512 VNNI", 20 * 64, 2000000, vnni};
#elif defined(__AVXVNNI__)
    units[count++] = (Unit){"AVX-VNNI", 12 * 32, 4000000, vnni};
#elif defined(__ARM_FEATURE_DOTPROD)
    units[count++] = (Unit){"dot product", 20 * 16, 4000000, vnni};
#endif
#if defined(__AMX_INT8__)
    /* Linux hands out tiles on request: ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
    if (!syscall(SYS_arch_prctl, 0x1023, 18)) units[count++] = (Unit){"AMX", 4 * 16 * 16 * 64, 1000000, amx};
#endif
    for (int n = 0; n < count; n++) {
        for (int threads = 1; threads <= cores; threads += cores > 1 ? cores - 1 : 1) {
            double found[RUNS];
            measure(&units[n], threads);
            for (int run = 0; run < RUNS; run++) found[run] = measure(&units[n], threads);
            qsort(found, RUNS, sizeof *found, ascending);
            printf("%s, %d threads: %.0f GMAC/s (best %.0f)\n", units[n].name, threads, found[RUNS / 2],
                   found[RUNS - 1]);
        }
    }
    if (!count) puts("this processor, or compiler, has no 8-bit dot product");
    return !count;
}
