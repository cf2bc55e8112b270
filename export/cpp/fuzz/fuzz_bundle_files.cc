// Any bytes as each of a bundle's files: they are parsed or refused with a FormatError, and nothing else happens. The
// first byte chooses the file.

#include <cstdint>
#include <string_view>

#include "code_point_table.h"
#include "error.h"
#include "golden.h"
#include "json.h"
#include "manifest.h"
#include "patterns.h"
#include "safetensors.h"
#include "student_weights.h"
#include "vocabulary.h"

namespace {

void parse(int file, std::string_view content) {
  const kuaixun::Architecture architecture{4, 1, {1, 2}, 1, kuaixun::NgramBranch{{2}, 1}};
  switch (file) {
    case 0:
      kuaixun::parse_manifest(content);
      break;
    case 1:
      kuaixun::read_safetensors(content);
      break;
    case 2:
      kuaixun::parse_student_weights(content, architecture, 2);
      break;
    case 3:
      kuaixun::parse_code_point_table(content);
      break;
    case 4:
      kuaixun::parse_vocabulary(content);
      break;
    case 5:
      kuaixun::parse_patterns(content);
      break;
    case 6:
      kuaixun::parse_golden(content, 2);
      break;
    default:
      kuaixun::Json::parse(content);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  try {
    parse(data[0] % 8, {reinterpret_cast<const char*>(data) + 1, size - 1});
  } catch (const kuaixun::FormatError&) {
  } catch (const kuaixun::Error&) {
  }
  return 0;
}
