#include "raw_events.h"

#include <nanobind/stl/string.h>

#include "labelled_event.h"

namespace kuaixun {
namespace {

namespace nb = nanobind;

std::string text_of(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

std::vector<std::int64_t> integers_of(const nb::list& list) {
  std::vector<std::int64_t> integers;
  integers.reserve(list.size());
  for (const nb::handle item : list) {
    const std::int64_t integer = PyLong_AsLongLong(item.ptr());
    if (integer == -1 && PyErr_Occurred() != nullptr) throw nb::python_error();
    integers.push_back(integer);
  }
  return integers;
}

}  // namespace

RawEvents::RawEvents(nb::list payloads, const nb::list& partitions, const nb::list& offsets)
    : payloads_(nb::steal<nb::list>(PySequence_List(payloads.ptr()))),
      partitions_(integers_of(partitions)),
      offsets_(integers_of(offsets)) {
  if (!payloads_.is_valid()) throw nb::python_error();
  if (partitions_.size() != payloads_.size() || offsets_.size() != payloads_.size()) {
    throw nb::value_error("a place is needed for every payload");
  }
  views_.reserve(payloads_.size());
  for (const nb::handle payload : payloads_) {
    if (PyBytes_CheckExact(payload.ptr())) {
      views_.emplace_back(PyBytes_AS_STRING(payload.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(payload.ptr())));
    } else {
      views_.emplace_back();  // no event either
    }
  }
}

void RawEvents::read() {
  const nb::gil_scoped_release free;
  events_.clear();
  places_.clear();
  titles_.clear();
  arena_.clear();
  events_.reserve(views_.size());
  places_.reserve(views_.size());
  titles_.reserve(views_.size());
  for (std::size_t place = 0; place < views_.size(); ++place) {
    RawEvent& event = events_.emplace_back();
    if (!read_raw_event(views_[place], event, arena_)) {
      events_.pop_back();
      continue;
    }
    places_.push_back(place);
    titles_.push_back(event.title.utf8);
  }
}

nb::object RawEvents::title(std::ptrdiff_t index) const {
  const auto count = static_cast<std::ptrdiff_t>(titles_.size());
  if (index < 0) index += count;
  if (index < 0 || index >= count) throw nb::index_error();
  const std::string_view text = titles_[static_cast<std::size_t>(index)];
  return nb::steal(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr));
}

nb::list RawEvents::titles_of(const nb::slice& slice) const {
  const auto [start, stop, step, count] = slice.compute(titles_.size());
  nb::list titles;
  Py_ssize_t index = start;
  for (std::size_t taken = 0; taken < count; ++taken, index += step) titles.append(title(index));
  return titles;
}

void RawEvents::write(const Integers& label_ids, const Figures& confidences, const Table& scores,
                      const nb::tuple& labels, const nb::bytes& model, const nb::bytes& topic,
                      const nb::bytes& received_at, const nb::bytes& labelled_at, std::size_t top_scores,
                      double confidence_threshold) {
  EventFrame frame;
  for (const nb::handle label : labels) frame.labels.push_back(text_of(nb::cast<nb::bytes>(label)));
  frame.model = text_of(model);
  frame.topic = text_of(topic);
  frame.received_at = text_of(received_at);
  frame.labelled_at = text_of(labelled_at);
  frame.top_scores = top_scores;
  frame.confidence_threshold = confidence_threshold;
  const std::size_t classes = frame.labels.size();
  const std::size_t count = events_.size();
  if (label_ids.shape(0) != count || confidences.shape(0) != count || scores.shape(0) != count ||
      scores.shape(1) != classes) {
    throw nb::value_error("answers are needed for every event");
  }
  const nb::gil_scoped_release free;
  LabelledEventWriter writer(frame);
  json_.clear();
  json_.reserve(count * 512);
  ends_.resize(count);
  for (std::size_t row = 0; row < count; ++row) {
    const EventAnswer answer{label_ids.data()[row], confidences.data()[row], scores.data() + row * classes};
    const std::size_t place = places_[row];
    writer.append(events_[row], answer, partitions_[place], offsets_[place], json_);
    ends_[row] = json_.size();
  }
}

nb::list RawEvents::values() const {
  const std::size_t payloads = payloads_.size();
  nb::list values = nb::steal<nb::list>(PyList_New(static_cast<Py_ssize_t>(payloads)));
  if (!values.is_valid()) throw nb::python_error();
  std::size_t row = 0;
  std::size_t begin = 0;
  for (std::size_t place = 0; place < payloads; ++place) {
    PyObject* value = nullptr;
    if (row < ends_.size() && places_[row] == place) {
      const std::size_t end = ends_[row++];
      if (end > begin) {
        value = PyBytes_FromStringAndSize(json_.data() + begin, static_cast<Py_ssize_t>(end - begin));
        if (value == nullptr) throw nb::python_error();
      }
      begin = end;
    }
    PyList_SET_ITEM(values.ptr(), static_cast<Py_ssize_t>(place), value ? value : nb::none().release().ptr());
  }
  return values;
}

void bind_raw_events(nb::module_& module) {
  nb::class_<RawEvents>(module, "RawEvents",
                        "Payloads, and what is read of them as raw events as far as they are of the usual form: a "
                        "sequence of their titles.")
      .def(nb::init<nb::list, const nb::list&, const nb::list&>(), nb::arg("payloads"), nb::arg("partitions"),
           nb::arg("offsets"), "Bytes and their places on their topic; what is not bytes is no event.")
      .def("read", &RawEvents::read, "Read them, the interpreter free meanwhile.")
      .def("__len__", [](const RawEvents& self) { return self.titles().size(); })
      .def("__getitem__", &RawEvents::title)
      .def("__getitem__", &RawEvents::titles_of)
      .def("write", &RawEvents::write, nb::arg("label_ids"), nb::arg("confidences"), nb::arg("scores"), nb::kw_only(),
           nb::arg("labels"), nb::arg("model"), nb::arg("topic"), nb::arg("received_at"), nb::arg("labelled_at"),
           nb::arg("top_scores"), nb::arg("confidence_threshold"),
           "Write the labelled events, the interpreter free meanwhile. label_ids (n,), confidences (n,) and scores "
           "(n, classes) are of the titles; labels to labelled_at are JSON.")
      .def("values", &RawEvents::values, "What was written, one for each payload: JSON, or None.");
}

}  // namespace kuaixun
