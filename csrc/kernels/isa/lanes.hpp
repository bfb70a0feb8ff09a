// Lanes of doubles, as many as the instruction set of this build has in one register. Everything has internal linkage:
// each build of loops.cpp keeps its own copy.
#pragma once

#include "kernels/isa/loops.hpp"

#if defined(__SSE2__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace pyig {
namespace {

#ifdef __GNUC__

#ifdef __AVX512F__
constexpr std::size_t lane_count = 8;
#elif defined(__AVX2__)
constexpr std::size_t lane_count = 4;
#else
constexpr std::size_t lane_count = 2; // SSE2, NEON
#endif

// Wide and Narrow are values; a pointer to Stored or StoredNarrow may lie anywhere in an array of double or float.
typedef double Wide __attribute__((vector_size(lane_count * sizeof(double))));
typedef float Narrow __attribute__((vector_size(lane_count * sizeof(float))));
typedef double Stored __attribute__((vector_size(sizeof(Wide)), aligned(alignof(double)), may_alias));
typedef float StoredNarrow __attribute__((vector_size(sizeof(Narrow)), aligned(alignof(float)), may_alias));

inline void load(const double* from, Wide& to) {
    to = *reinterpret_cast<const Stored*>(from);
}

// __builtin_convertvector says the same everywhere, but GCC 12 makes two conversions and a merge of it.
inline void load(const float* from, Wide& to) {
#ifdef __AVX512F__
    to = _mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(from)); // the unmasked form warns of GCC's own header
#elif defined(__AVX2__)
    to = _mm256_cvtps_pd(_mm_loadu_ps(from));
#elif defined(__SSE2__)
    to = _mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
#else
    to = __builtin_convertvector(Narrow(*reinterpret_cast<const StoredNarrow*>(from)), Wide);
#endif
}

inline void store(double* to, Wide from) {
    *reinterpret_cast<Stored*>(to) = from;
}

inline void store(float* to, Wide from) {
    *reinterpret_cast<StoredNarrow*>(to) = __builtin_convertvector(from, Narrow);
}

inline double sum(Wide x) {
    double total = x[0];
    for (std::size_t i = 1; i < lane_count; ++i)
        total += x[i];
    return total;
}

inline void prefetch(const void* address) {
    __builtin_prefetch(address);
}

#else // one lane, and the compiler's own vectorizer

constexpr std::size_t lane_count = 1;
using Wide = double;

inline void prefetch(const void*) {}

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

inline double sum(double x) {
    return x;
}

template <class V>
V absolute(V x) {
    return x < 0 ? -x : x;
}

// Columns that one V holds.
template <class V>
constexpr std::size_t width = lane_count;
template <>
constexpr std::size_t width<double> = 1;

} // namespace
} // namespace pyig
