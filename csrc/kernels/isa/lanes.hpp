// Lanes of doubles as wide as the instruction set of this build has them. Everything has internal linkage: each build
// of loops.cpp keeps its own copy.
#pragma once

#include "kernels/isa/loops.hpp"

namespace pyig {
namespace {

#if defined(__GNUC__) || defined(__clang__)

#if defined(__AVX512F__)
constexpr std::size_t lane_count = 8;
#elif defined(__AVX2__)
constexpr std::size_t lane_count = 4;
#else
constexpr std::size_t lane_count = 2; // SSE2 and NEON
#endif

typedef double Wide __attribute__((vector_size(lane_count * sizeof(double))));
typedef float WideFloat __attribute__((vector_size(lane_count * sizeof(float))));

// memcpy is the load without an alignment or aliasing promise; it compiles to one instruction.
inline void load(const double* from, Wide& to) {
    __builtin_memcpy(&to, from, sizeof to);
}

inline void load(const float* from, Wide& to) {
    WideFloat narrow;
    __builtin_memcpy(&narrow, from, sizeof narrow);
    to = __builtin_convertvector(narrow, Wide);
}

inline void store(double* to, const Wide& from) {
    __builtin_memcpy(to, &from, sizeof from);
}

inline void store(float* to, const Wide& from) {
    const WideFloat narrow = __builtin_convertvector(from, WideFloat);
    __builtin_memcpy(to, &narrow, sizeof narrow);
}

inline double sum(const Wide& x) {
    double total = x[0];
    for (std::size_t i = 1; i < lane_count; ++i)
        total += x[i];
    return total;
}

#else // one lane, and the compiler's own vectorizer

constexpr std::size_t lane_count = 1;
using Wide = double;

#endif

inline void load(const double* from, double& to) {
    to = *from;
}

inline void load(const float* from, double& to) {
    to = static_cast<double>(*from);
}

inline void store(double* to, double from) {
    *to = from;
}

inline void store(float* to, double from) {
    *to = static_cast<float>(from);
}

template <class V>
V absolute(V x) {
    return x < 0 ? -x : x;
}

inline double sum(double x) {
    return x;
}

template <class V>
constexpr std::size_t width = sizeof(V) / sizeof(double);

} // namespace
} // namespace pyig
