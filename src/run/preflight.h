#pragma once

#include "noregret/run/experiment.h"

namespace noregret {

// What can be found wrong before weights are read and a run directory is made: problems and examples that do not fit
// the context (of endless sources the first ones), no problems or no examples at all, an evaluation of nothing. Throws
// DataError, ConfigError.
void check_inputs(const RunConfig& config, const Inputs& inputs);

// Throws DataError when the tokenizer has ids that the model has not.
void check_vocabulary(const Tokenizer& tokenizer, const HfConfig& model, const std::string& where);

}  // namespace noregret
