#include "kernels/isa/dispatch.hpp"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#if defined(_MSC_VER) && defined(PYIG_X86)
#include <windows.h>
#endif

namespace pyig {

namespace {

bool always() {
    return true;
}

#ifdef PYIG_X86
#ifdef _MSC_VER
bool has_avx2() {
    return IsProcessorFeaturePresent(PF_AVX2_INSTRUCTIONS_AVAILABLE) != 0;
}
bool has_avx512() {
    return has_avx2() && IsProcessorFeaturePresent(PF_AVX512F_INSTRUCTIONS_AVAILABLE) != 0;
}
#else
bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif
#endif

struct Build {
    const char* name;
    const Loops* loops;
    bool (*runs_here)();
};

constexpr Build builds[] = {
    {"baseline", &loops_baseline, always},
#ifdef PYIG_X86
    {"avx2", &loops_avx2, has_avx2},
    {"avx512", &loops_avx512, has_avx512},
#elif defined(PYIG_NEON)
    {"neon", &loops_baseline, always}, // every 64-bit Arm has it: two names for one build
#endif
};

std::atomic<const Build*> chosen{&builds[0]};

} // namespace

std::vector<std::string> isa_names() {
    std::vector<std::string> names;
    for (const Build& build : builds)
        if (build.runs_here())
            names.emplace_back(build.name);
    return names;
}

std::string isa_name() {
    return chosen.load()->name;
}

const Loops& loops() {
    return *chosen.load()->loops;
}

void choose_isa(const std::string& name, const std::string& source) {
    std::string known;
    for (const Build& build : builds) {
        if (!build.runs_here())
            continue;
        if (name == build.name) {
            chosen = &build;
            return;
        }
        known += (known.empty() ? "" : ", ") + std::string(build.name);
    }
    throw std::invalid_argument(source + ": expected one of " + known + " on this machine; got '" + name + "'");
}

void choose_isa_from_environment() {
    const char* wanted = std::getenv("PYIG_ISA");
    if (wanted && *wanted)
        choose_isa(wanted, "PYIG_ISA");
    else
        choose_isa(isa_names().back(), "best");
}

} // namespace pyig
