#pragma once

#include "format/key_reader.h"
#include "noregret/format/hf_config.h"

namespace noregret {

// The rotary options of a config.json: v4 rope_theta and rope_scaling, v5 rope_parameters.
RopeOptions read_rope(const KeyReader& config);

// Sets rope_theta and rope_scaling (null when nothing is scaled): transformers 4 knows these, 5 converts them.
void write_rope(const RopeOptions& rope, Json& config);

}  // namespace noregret
