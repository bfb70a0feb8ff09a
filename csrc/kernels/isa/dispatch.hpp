// Which build of the loops runs on this processor.
#pragma once

#include "kernels/isa/loops.hpp"

#include <string>
#include <vector>

namespace pyig {

// Names of the builds that run here, plainest first; the last is the default.
std::vector<std::string> isa_names();

// The build in use.
std::string isa_name();
const Loops& loops();

// Throws std::invalid_argument for a name that is unknown or cannot run here. `source` says where the name came from.
void choose_isa(const std::string& name, const std::string& source);

// Take the best build, or the one that the environment variable PYIG_ISA names.
void choose_isa_from_environment();

} // namespace pyig
