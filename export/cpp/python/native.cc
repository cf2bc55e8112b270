// The Python module `_native`: a whole batch per call, the interpreter free while it is labelled. ASCII strings are
// read where they lie; of any other Python makes the UTF-8 once and keeps it in the string, but of one that is longer
// than what is read of a text.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "classifier.h"
#include "error.h"
#include "raw_events.h"

namespace nb = nanobind;

namespace {

using kuaixun::Classifier;
using kuaixun::Precision;
using kuaixun::RawEvents;
using kuaixun::Surrogates;

template <typename T>
using Rows = nb::ndarray<nb::numpy, T>;

// A numpy array that owns `values`.
template <typename T>
Rows<T> array_of(std::unique_ptr<T[]> values, std::initializer_list<std::size_t> shape) {
  T* const data = values.release();
  const nb::capsule owner(data, [](void* pointer) noexcept { delete[] static_cast<T*>(pointer); });
  return Rows<T>(data, shape, owner);
}

// The UTF-8 of the first `limit` characters of Python strings, which they keep themselves once it is asked for; only
// one with lone surrogates has none to keep, and a longer one would keep what nobody reads.
class TextsOfStrings {
 public:
  TextsOfStrings(nb::handle strings, std::size_t limit) : limit_(static_cast<Py_ssize_t>(limit)) {
    const std::size_t count = nb::len(strings);
    texts_.reserve(count);
    kept_.reserve(count);
    for (nb::handle item : strings) append(item);
  }

  const std::vector<std::string_view>& texts() const { return texts_; }

 private:
  void append(nb::handle item) {
    if (!PyUnicode_Check(item.ptr())) throw nb::type_error("classify takes a sequence of str");
    const bool is_cut = PyUnicode_GetLength(item.ptr()) > limit_;
    kept_.push_back(is_cut ? nb::steal(PyUnicode_Substring(item.ptr(), 0, limit_)) : nb::borrow(item));
    PyObject* const string = kept_.back().ptr();
    if (string == nullptr) throw nb::python_error();
    Py_ssize_t size = 0;
    if (const char* bytes = PyUnicode_AsUTF8AndSize(string, &size)) {
      texts_.emplace_back(bytes, static_cast<std::size_t>(size));
      return;
    }
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) throw nb::python_error();
    PyErr_Clear();
    nb::object encoded = nb::steal(PyUnicode_AsEncodedString(string, "utf-8", "surrogatepass"));
    if (!encoded.is_valid()) throw nb::python_error();
    texts_.emplace_back(PyBytes_AsString(encoded.ptr()), static_cast<std::size_t>(PyBytes_Size(encoded.ptr())));
    kept_.push_back(std::move(encoded));
  }

  Py_ssize_t limit_;
  std::vector<std::string_view> texts_;
  std::vector<nb::object> kept_;  // the sequence may be changed while the interpreter is free
};

const char* python_class_of(const kuaixun::Error& error) {
  if (dynamic_cast<const kuaixun::GoldenError*>(&error) != nullptr) return "GoldenCaseError";
  if (dynamic_cast<const kuaixun::TamperedError*>(&error) != nullptr) return "BundleTamperedError";
  switch (error.code()) {
    case kuaixun::ErrorCode::bundle:
      return "BundleError";
    case kuaixun::ErrorCode::bundle_version:
      return "BundleVersionError";
    default:
      return "EngineError";
  }
}

Precision precision_of(const std::string& name) {
  if (const auto precision = kuaixun::precision_named(name)) return *precision;
  throw nb::value_error("the precision must be fp32, bf16 or int8");
}

void open(Classifier* place, const nb::bytes& folder, const std::string& precision) {
  const Precision parsed = precision_of(precision);
  const std::string name(folder.c_str(), folder.size());
  nb::gil_scoped_release free;
  new (place) Classifier(name, parsed);
}

using Predictions = std::tuple<Rows<std::int64_t>, Rows<double>, Rows<double>>;

Predictions classify(const Classifier& classifier, const std::vector<std::string_view>& texts, unsigned threads) {
  const std::size_t count = texts.size();
  const std::size_t classes = classifier.student().classes();
  std::vector<std::int32_t> narrow(count);
  std::unique_ptr<std::int64_t[]> label_ids(new std::int64_t[count]);
  std::unique_ptr<double[]> confidences(new double[count]);
  std::unique_ptr<double[]> scores(new double[count * classes]);
  {
    nb::gil_scoped_release free;
    classifier.classify(texts.data(), count, Surrogates::pass, threads,
                        {narrow.data(), confidences.get(), scores.get(), nullptr});
    std::copy(narrow.begin(), narrow.end(), label_ids.get());
  }
  return {array_of(std::move(label_ids), {count}), array_of(std::move(confidences), {count}),
          array_of(std::move(scores), {count, classes})};
}

Predictions classify_strings(const Classifier& classifier, const nb::sequence& strings, unsigned threads) {
  const TextsOfStrings texts(strings, classifier.manifest().text.max_raw_chars);
  return classify(classifier, texts.texts(), threads);
}

Predictions classify_events(const Classifier& classifier, const RawEvents& events, unsigned threads) {
  return classify(classifier, events.titles(), threads);
}

using Ids = nb::ndarray<const std::int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

Rows<double> logits(const Classifier& classifier, const Ids& ids, unsigned threads) {
  const std::size_t count = ids.shape(0);
  const std::size_t classes = classifier.student().classes();
  std::unique_ptr<double[]> values(new double[count * classes]);
  {
    nb::gil_scoped_release free;
    classifier.logits(ids.data(), count, ids.shape(1), threads, values.get());
  }
  return array_of(std::move(values), {count, classes});
}

}  // namespace

NB_MODULE(_native, module) {
  // A classifier may live until the process ends, in a global or in a thread that does not end first: no leak.
  nb::set_leak_warnings(false);
  module.doc() = "The student's C++ runtime: see export/cpp.";
  module.attr("__version__") = KUAIXUN_VERSION;

  // Its arguments are the message and the class of export/errors.py that the native engine turns it into. An argument
  // that is wrong is Python's own ValueError.
  static PyObject* const error = PyErr_NewException("kuaixun.export._native.NativeError", PyExc_Exception, nullptr);
  module.attr("NativeError") = nb::borrow(error);
  nb::register_exception_translator([](const std::exception_ptr& raised, void*) {
    try {
      std::rethrow_exception(raised);
    } catch (const kuaixun::Error& caught) {
      if (caught.code() == kuaixun::ErrorCode::usage) {
        PyErr_SetString(PyExc_ValueError, caught.what());
        return;
      }
      // A folder's name need not be UTF-8.
      const std::string_view text = caught.what();
      const nb::object message =
          nb::steal(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"));
      if (!message.is_valid()) return;
      const nb::tuple arguments = nb::make_tuple(message, python_class_of(caught));
      PyErr_SetObject(error, arguments.ptr());
    }
  });

  kuaixun::bind_raw_events(module);
  nb::class_<Classifier>(module, "NativeClassifier", "A verified bundle with its student folded in one precision.")
      .def("__init__", &open, nb::arg("folder"), nb::arg("precision"),
           "Open and verify a bundle's folder, named in bytes. precision: fp32, bf16 or int8. Raises "
           "NativeError(message, class).")
      .def("classify", &classify_events, nb::arg("events"), nb::arg("threads") = 1U,
           "Label the titles of events, where they lie.")
      .def("classify", &classify_strings, nb::arg("texts"), nb::arg("threads") = 1U,
           "Label raw texts (n): label ids (n,) with -1 where nothing is left, confidences (n,), scores (n, classes).")
      .def("logits", &logits, nb::arg("ids"), nb::arg("threads") = 1U,
           "Logits (n, classes) of token ids (n, width) int32, each row padded with 0, width at most max_tokens.")
      .def_prop_ro(
          "manifest_sha256", [](const Classifier& self) { return self.manifest().sha256; },
          "SHA-256 of manifest.json as it was read, in hexadecimal.")
      .def_prop_ro(
          "instruction_set", [](const Classifier& self) { return self.student().instruction_set(); },
          "What the processor runs it with: avx512, avx2 or portable.");
}
