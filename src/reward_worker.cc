#include "noregret/reward/worker.h"

int main(int argc, char** argv) { return noregret::run_reward_worker({argv + 1, argv + argc}); }
