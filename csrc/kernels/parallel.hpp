// Threads for one call: started here, joined here. No pool is kept, so a forked child inherits nothing half-alive.
#pragma once

#include "kernels/isa/loops.hpp"

#include <functional>

namespace pyig {

// Call body(span) over [0, items) cut into one contiguous span per thread; `elements` is the size of the whole work and
// decides whether threads pay. The body must not throw.
void in_parallel(std::size_t items, std::size_t elements, const std::function<void(Span)>& body);

// Most threads that a call may use; 0 means one per processor. For tests and benchmarks.
void set_thread_limit(std::size_t limit);

} // namespace pyig
