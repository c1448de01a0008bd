// A shared library, but no plugin.
extern "C" __attribute__((visibility("default"))) int some_function() { return 7; }
