#include "kernels/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

namespace pyig {

namespace {

// Starting a thread costs about as much as reading 200 kB; below this many elements per thread it does not pay.
constexpr std::size_t elements_per_thread = 500'000;

std::atomic<std::size_t> thread_limit{0};

std::size_t thread_count(std::size_t items, std::size_t elements) {
    if (elements < 2 * elements_per_thread)
        return 1; // and the system is not asked how many processors there are
    const std::size_t limit = thread_limit ? thread_limit.load() : std::thread::hardware_concurrency();
    return std::min({items, elements / elements_per_thread, std::max<std::size_t>(1, limit)});
}

} // namespace

void set_thread_limit(std::size_t limit) {
    thread_limit = limit;
}

void in_parallel(std::size_t items, std::size_t elements, const std::function<void(Span)>& body) {
    const std::size_t threads = thread_count(items, elements);
    // Not items * i / threads, which overflows first.
    const auto edge = [=](std::size_t i) { return items / threads * i + std::min(i, items % threads); };
    std::vector<std::thread> others;
    others.reserve(threads - 1); // so that nothing but the start of a thread can fail below
    std::size_t started = 1;
    try {
        for (; started < threads; ++started)
            others.emplace_back(body, Span{edge(started), edge(started + 1)});
    } catch (const std::system_error&) { // no more threads to be had: the rest is done here
        body(Span{edge(started), items});
    }
    body(Span{0, edge(1)});
    for (std::thread& other : others)
        other.join();
}

} // namespace pyig
