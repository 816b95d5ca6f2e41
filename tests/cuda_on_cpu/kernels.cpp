// The entry points of project_tile_normalise.cu, by name; -DCOLVI_SOURCE='"..."' takes another source.
#include "cuda_on_cpu.hpp"

// A CPU has no PTX; its own conversion rounds to nearest, ties to even, too.
#define COLVI_HALF_BITS(bits, value)              \
    do {                                          \
        const _Float16 half = (value);            \
        std::memcpy(&(bits), &half, sizeof half); \
    } while (false)

#ifndef COLVI_SOURCE
#define COLVI_SOURCE "../../kernels/project_tile_normalise.cu"
#endif
#include COLVI_SOURCE

#define NAMED(name) cuda_on_cpu::kernel(#name, name)
#define FROM_ALL_INPUTS_TO(out)                                                      \
    NAMED(project_tile_normalise_u8_##out), NAMED(project_tile_normalise_u16_##out), \
        NAMED(project_tile_normalise_f32_##out),

const cuda_on_cpu::Kernel* cuda_on_cpu::find(const char* name) {
    static const Kernel kernels[] = {
#ifdef COLVI_TO_F32
        FROM_ALL_INPUTS_TO(f32)
#endif
#ifdef COLVI_TO_F16
        FROM_ALL_INPUTS_TO(f16)
#endif
#ifdef COLVI_TO_I8
        FROM_ALL_INPUTS_TO(i8)
#endif
    };
    for (const Kernel& kernel : kernels)
        if (!std::strcmp(kernel.name, name)) return &kernel;
    return nullptr;
}
