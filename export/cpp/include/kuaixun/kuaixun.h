/* The C interface of the student's runtime: raw UTF-8 texts in, labels out. No libtorch, no Python.
 *
 * No function throws or prints. A classifier holds no state between calls, so one may be used from several threads at
 * once; every call blocks until its batch is done. A text's result does not depend on the other texts of its batch nor
 * on the number of threads, to the last bit. Where NULL may not stand it is refused with KUAIXUN_USAGE, by functions
 * that return no code with 0 or NULL.
 */
#ifndef KUAIXUN_KUAIXUN_H
#define KUAIXUN_KUAIXUN_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define KUAIXUN_API __attribute__((visibility("default")))
#else
#define KUAIXUN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What went wrong; the numbers are the exit codes of every kuaixun command that opens a bundle. */
enum {
  KUAIXUN_OK = 0,
  KUAIXUN_USAGE = 2,          /* an argument of the call is wrong */
  KUAIXUN_BUNDLE = 3,         /* the folder is not a bundle that may serve: damaged, or its golden cases fail */
  KUAIXUN_BUNDLE_VERSION = 4, /* it is of a format that this version does not read */
  KUAIXUN_ENGINE = 10,        /* the student cannot be computed here, for instance for lack of memory */
  KUAIXUN_UNEXPECTED = 70
};

/* How the folded tables are held; the default is the one that the bundle's manifest names. The same text may differ in
 * its last digits between precisions. */
enum { KUAIXUN_DEFAULT_PRECISION = -1, KUAIXUN_FP32 = 0, KUAIXUN_BF16 = 1, KUAIXUN_INT8 = 2 };

enum { KUAIXUN_NO_LABEL = -1 };

typedef struct kuaixun_classifier kuaixun_classifier;

/* What a surrogate encoded as UTF-8 is: invalid, as on any wire, or a code point, as a Python str may hold it.
 * Any other value is refused with KUAIXUN_USAGE. */
enum { KUAIXUN_SURROGATES_REPLACE = 0, KUAIXUN_SURROGATES_PASS = 1 };

/* `size` bytes of UTF-8, not copied; what is not valid is read as U+FFFD, as Python's errors="replace" does it. */
typedef struct {
  const char* bytes;
  size_t size;
} kuaixun_text;

/* Opens and verifies a bundle, for which every core is busy for a moment. On failure *opened is NULL and `message` (of
 * `message_size` bytes, may be NULL) names the file and the reason: one line of UTF-8, cut between characters, in which
 * control and format characters of a name or a text are escapes such as \x1b. */
KUAIXUN_API int kuaixun_open(const char* folder, int precision, kuaixun_classifier** opened, char* message,
                             size_t message_size);
KUAIXUN_API void kuaixun_close(kuaixun_classifier* classifier);

/* These last as long as the classifier. */
KUAIXUN_API size_t kuaixun_classes(const kuaixun_classifier* classifier);
KUAIXUN_API kuaixun_text kuaixun_label(const kuaixun_classifier* classifier, size_t label_id);
KUAIXUN_API const char* kuaixun_model_id(const kuaixun_classifier* classifier);
KUAIXUN_API size_t kuaixun_max_tokens(const kuaixun_classifier* classifier);
KUAIXUN_API const char* kuaixun_instruction_set(const kuaixun_classifier* classifier);

/* Labels `count` texts on up to `threads` threads (0: one for each core). Any output may be NULL:
 *   label_ids   (count)           KUAIXUN_NO_LABEL where nothing of the text is left after cleaning
 *   confidences (count)           calibrated probability of the label, rounded to six decimals; 0 without a label
 *   scores      (count, classes)  all probabilities, rounded; zeros without a label
 *   logits      (count, classes)  before calibration
 */
KUAIXUN_API int kuaixun_classify(const kuaixun_classifier* classifier, const kuaixun_text* texts, size_t count,
                                 int surrogates, unsigned threads, int32_t* label_ids, double* confidences,
                                 double* scores, double* logits);

/* Logits (count, classes) of token ids (count, width), each row padded on the right with 0. KUAIXUN_USAGE where
 * width is more than kuaixun_max_tokens, or an id lies outside the vocabulary: some rows may be written then. */
KUAIXUN_API int kuaixun_logits(const kuaixun_classifier* classifier, const int32_t* ids, size_t count, size_t width,
                               unsigned threads, double* logits);

/* Cleans and tokenises one text. `cleaned` (room for 4 * max_raw_chars bytes) and `ids` (room for max_tokens) may be
 * NULL; their sizes in bytes and ids are stored all the same, and how many characters were left. */
KUAIXUN_API int kuaixun_encode(const kuaixun_classifier* classifier, kuaixun_text text, int surrogates, char* cleaned,
                               size_t* cleaned_bytes, int32_t* ids, size_t* id_count, size_t* characters);
KUAIXUN_API size_t kuaixun_max_raw_chars(const kuaixun_classifier* classifier);

#ifdef __cplusplus
}
#endif
#endif
