#include "bind/check.hpp"

#include "kernels/indices.hpp"

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <utility>

namespace pyig::bind {

namespace {

const char* word(Kind kind) {
    switch (kind) {
    case Kind::f32:
        return "float32";
    case Kind::f64:
        return "float64";
    default:
        return "int64";
    }
}

bool is_kind(const py::dtype& dtype, Kind kind) {
    switch (kind) {
    case Kind::f32:
        return dtype.kind() == 'f' && dtype.itemsize() == 4;
    case Kind::f64:
        return dtype.kind() == 'f' && dtype.itemsize() == 8;
    default: // not by type number: C has two 64-bit integers on some systems
        return dtype.kind() == 'i' && dtype.itemsize() == 8;
    }
}

std::string in_words(std::size_t dimensions, const std::vector<Kind>& kinds) {
    std::string text = "a " + std::to_string(dimensions) + "-D numpy array of ";
    for (std::size_t i = 0; i < kinds.size(); ++i)
        text += (i ? " or " : "") + std::string(word(kinds[i]));
    return text;
}

template <class T>
std::string tuple_text(const std::vector<T>& values) {
    std::string text = "(";
    for (const T& value : values)
        text += (text.size() > 1 ? ", " : "") + std::to_string(value);
    return text + (values.size() == 1 ? ",)" : ")");
}

std::string shape_text(const py::array& array) {
    return tuple_text(std::vector<py::ssize_t>(array.shape(), array.shape() + array.ndim()));
}

std::string stride_text(const py::array& array) {
    return tuple_text(std::vector<py::ssize_t>(array.strides(), array.strides() + array.ndim()));
}

[[noreturn]] void refuse_text(const char* name, const std::string& expected, const std::string& got) {
    throw py::value_error(std::string(name) + ": expected " + expected + "; got " + got);
}

// First and one past the last byte of an array that has elements.
std::pair<std::uintptr_t, std::uintptr_t> bytes_of(const py::array& array) {
    auto low = reinterpret_cast<std::uintptr_t>(array.data());
    auto high = low + static_cast<std::uintptr_t>(array.itemsize());
    for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
        const py::ssize_t reach = (array.shape(axis) - 1) * array.strides(axis);
        (reach < 0 ? low : high) += static_cast<std::uintptr_t>(reach);
    }
    return {low, high};
}

} // namespace

std::string describe(py::handle value) {
    if (!py::isinstance<py::array>(value))
        return std::string("type ") + Py_TYPE(value.ptr())->tp_name;
    const auto array = py::reinterpret_borrow<py::array>(value);
    return py::str(array.dtype()).cast<std::string>() + " of shape " + shape_text(array);
}

void refuse(const char* name, const std::string& expected, py::handle got) {
    refuse_text(name, expected, describe(got));
}

Array::Array(const char* name, py::handle value, std::size_t dimensions, const std::vector<Kind>& kinds)
    : name_(name), kind_(kinds.front()) {
    const auto expected = [&] { return in_words(dimensions, kinds); };
    if (!py::isinstance<py::array>(value))
        throw py::type_error(std::string(name) + ": expected " + expected() + "; got " + describe(value));
    array_ = py::reinterpret_borrow<py::array>(value);
    const auto found =
        std::find_if(kinds.begin(), kinds.end(), [&](Kind kind) { return is_kind(array_.dtype(), kind); });
    if (found == kinds.end() || static_cast<std::size_t>(array_.ndim()) != dimensions)
        refuse(name, expected(), value);
    kind_ = *found;
    if (array_.dtype().byteorder() != '=') // numpy writes the machine's own order so, whatever it is
        refuse(name, expected() + " in native byte order", value);
    if (!(array_.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_))
        refuse_text(name, "aligned memory (numpy.require(" + std::string(name) + ", requirements='A') copies it there)",
                    "a misaligned array");
    require_contiguous_elements();
}

void Array::require_contiguous_elements() const {
    const py::ssize_t last = array_.ndim() - 1;
    if (empty() || array_.shape(last) == 1 || array_.strides(last) == array_.itemsize())
        return;
    refuse_text(name_,
                "contiguous elements along the last axis (numpy.ascontiguousarray(" + std::string(name_) +
                    ") makes them so)",
                "strides " + stride_text(array_) + " for items of " + std::to_string(array_.itemsize()) + " bytes");
}

void Array::require_shape(const std::vector<std::size_t>& shape, const char* words) const {
    bool same = true;
    for (std::size_t axis = 0; axis < shape.size(); ++axis)
        same = same && this->shape(axis) == shape[axis];
    if (!same)
        refuse(name_, "shape " + tuple_text(shape) + ", which is " + words, array_);
}

void Array::require_kind_of(const Array& other) const {
    if (kind_ != other.kind_)
        refuse(name_, std::string(word(other.kind_)) + " like " + other.name_, array_);
}

void Array::require_output(bool packed) const {
    if (!array_.writeable())
        refuse_text(name_, "a writable array", "a read-only one");
    if (empty())
        return;
    if (packed && !(array_.flags() & py::array::c_style))
        refuse_text(name_, "an array in C order without gaps", "strides " + stride_text(array_));
    if (packed || array_.ndim() != 2 || array_.shape(0) == 1)
        return;
    const py::ssize_t stride = array_.strides(0);
    if ((stride < 0 ? -stride : stride) < array_.shape(1) * array_.itemsize())
        refuse_text(name_, "rows that do not overlap", "strides " + stride_text(array_));
}

void Array::require_apart_from(const Array& other) const {
    if (empty() || other.empty())
        return;
    const auto mine = bytes_of(array_);
    const auto theirs = bytes_of(other.array_);
    if (mine.first < theirs.second && theirs.first < mine.second)
        refuse_text(name_, std::string("memory apart from ") + other.name_, "arrays that overlap");
}

void Array::require_indices(std::size_t limit, const char* of) const {
    const auto* indices = data<std::int64_t>();
    const std::size_t at = first_outside(indices, shape(0), limit);
    if (at < shape(0))
        refuse_text(name_, std::string("indices into ") + of + ", 0 <= index < " + std::to_string(limit),
                    std::to_string(indices[at]) + " at position " + std::to_string(at));
}

std::ptrdiff_t Array::row_stride(std::size_t item) const {
    // One row has no next one, and numpy leaves the stride of such an axis undefined.
    return shape(0) > 1 ? array_.strides(0) / static_cast<std::ptrdiff_t>(item) : 0;
}

} // namespace pyig::bind
