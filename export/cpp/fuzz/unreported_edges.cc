// What the edges of the runtime are reported to in a program without standalone_driver.cc, such as the unit tests.

extern "C" void __sanitizer_cov_trace_pc() {}
