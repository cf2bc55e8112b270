// The Python module `_batches`: messages to librdkafka and reports of them, a batch in one call.

#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>

#include "batch_producer.h"

namespace nb = nanobind;
using kuaixun::kafka::BatchProducer;

NB_MODULE(_batches, module) {
  nb::set_leak_warnings(false);  // a worker that ends at once leaves its producer as it is
  module.def("find_librdkafka", &kuaixun::kafka::find_librdkafka, nb::arg("binding"),
             "Find the one that this loaded shared object is linked with, before all else; whether it is there and "
             "can take this module as a plugin.");
  nb::class_<BatchProducer>(module, "BatchProducer",
                            "Shares the client of a producer, the last that this thread has made with this module as "
                            "a plugin.")
      .def(nb::init<nb::object>(), nb::arg("producer"))
      .def("produce", &BatchProducer::produce, nb::arg("topics"), nb::arg("partitions"), nb::arg("keys"),
           nb::arg("values"), nb::arg("headers"), nb::arg("timestamps_ms"),
           "Hand over messages in order up to the first that is not taken, the interpreter free meanwhile: the batch's "
           "number and how many were.")
      .def("reports", &BatchProducer::reports,
           "What has become of messages since the last time, in tuples: the batch's number, how many more of it are "
           "confirmed, and of each that is refused its row, the error's code and its words.");
}
