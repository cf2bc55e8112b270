// A bundle's files, by name: export/bundle/file_names.py and export/text/file_names.py.
#pragma once

namespace kuaixun {

constexpr const char* manifest_file = "manifest.json";
constexpr const char* model_card_file = "MODEL_CARD.md";
constexpr const char* torchscript_file = "student.pt";
constexpr const char* weights_file = "weights.safetensors";
constexpr const char* golden_file = "golden.jsonl";
constexpr const char* code_points_file = "codepoints.tsv";
constexpr const char* patterns_file = "patterns.json";
constexpr const char* vocabulary_file = "vocabulary.tsv";

}  // namespace kuaixun
