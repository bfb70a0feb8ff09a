// What a kernel may take for granted is checked here. Every refusal says which argument, what was expected, and what
// came.
#pragma once

#include "kernels/isa/loops.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

namespace pyig::bind {

namespace py = pybind11;

enum class Kind { f32, f64, i64 };

inline const std::vector<Kind> floats{Kind::f32, Kind::f64};
inline const std::vector<Kind> f64{Kind::f64};
inline const std::vector<Kind> i64{Kind::i64};

// Call body with a zero of the C++ type that the array holds.
template <class Body>
void with_type(Kind kind, const Body& body) {
    if (kind == Kind::f32)
        body(float{});
    else
        body(double{});
}

// What came, in words: "float32 of shape (2, 3)".
std::string describe(py::handle value);

[[noreturn]] void refuse(const char* name, const std::string& expected, py::handle got);

// An array argument that has passed the checks common to all: a numpy array of one of the kinds, in native byte order,
// aligned, of this many dimensions, with contiguous elements along the last axis.
class Array {
  public:
    Array(const char* name, py::handle value, std::size_t dimensions, const std::vector<Kind>& kinds);

    const char* name() const { return name_; }
    Kind kind() const { return kind_; }
    std::size_t shape(std::size_t axis) const { return static_cast<std::size_t>(array_.shape(as_axis(axis))); }

    void require_shape(const std::vector<std::size_t>& shape, const char* words) const;
    void require_kind_of(const Array& other) const;
    // Writable, no element twice; `packed` also asks for C order without gaps.
    void require_output(bool packed) const;
    // Not one byte in common with the range of memory that `other` spans.
    void require_apart_from(const Array& other) const;
    // Every index (this array) in [0, limit).
    void require_indices(std::size_t limit, const char* of) const;

    template <class T>
    const T* data() const {
        return static_cast<const T*>(array_.data());
    }
    template <class T>
    T* output() const { // after require_output
        return static_cast<T*>(const_cast<void*>(array_.data()));
    }
    // The rows of a 2-D array.
    template <class T>
    Rows<const T> rows() const {
        return {data<T>(), row_stride(sizeof(T))};
    }
    template <class T>
    Rows<T> output_rows() const {
        return {output<T>(), row_stride(sizeof(T))};
    }

  private:
    static int as_axis(std::size_t axis) { return static_cast<int>(axis); }
    std::ptrdiff_t row_stride(std::size_t item) const;
    bool empty() const { return array_.size() == 0; }
    void require_contiguous_elements() const;

    const char* name_;
    py::array array_;
    Kind kind_;
};

} // namespace pyig::bind
