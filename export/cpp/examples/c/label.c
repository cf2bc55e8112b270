/* Labels the texts of its command line: all that a program in C needs of kuaixun.
 *
 *   kuaixun-label BUNDLE TEXT...
 */
#include <kuaixun/kuaixun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int label_all(const kuaixun_classifier* classifier, char** arguments, size_t count) {
  kuaixun_text* texts = malloc(count * sizeof *texts);
  int32_t* label_ids = malloc(count * sizeof *label_ids);
  double* confidences = malloc(count * sizeof *confidences);
  int code = KUAIXUN_ENGINE;
  if (texts != NULL && label_ids != NULL && confidences != NULL) {
    for (size_t i = 0; i < count; ++i) {
      texts[i].bytes = arguments[i];
      texts[i].size = strlen(arguments[i]);
    }
    /* All texts in one call, which is what is fast; on one thread, and without the scores of the other classes. */
    code = kuaixun_classify(classifier, texts, count, KUAIXUN_SURROGATES_REPLACE, 1, label_ids, confidences, NULL, NULL);
  }
  for (size_t i = 0; code == KUAIXUN_OK && i < count; ++i) {
    if (label_ids[i] == KUAIXUN_NO_LABEL) {
      puts("nothing to label");
    } else {
      /* A label has a size, and no NUL at its end. It is the bundle's word: of a bundle that you do not trust, escape
       * control characters before you show it to anyone. */
      const kuaixun_text label = kuaixun_label(classifier, (size_t)label_ids[i]);
      printf("%.*s %.6f\n", (int)label.size, label.bytes, confidences[i]);
    }
  }
  free(confidences);
  free(label_ids);
  free(texts);
  return code;
}

int main(int count, char** arguments) {
  kuaixun_classifier* classifier = NULL;
  char message[500];
  int code;
  if (count < 3) {
    fputs("usage: kuaixun-label BUNDLE TEXT...\n", stderr);
    return KUAIXUN_USAGE;
  }
  code = kuaixun_open(arguments[1], KUAIXUN_DEFAULT_PRECISION, &classifier, message, sizeof message);
  if (code != KUAIXUN_OK) {
    fprintf(stderr, "kuaixun-label: %s\n", message);
    return code;
  }
  code = label_all(classifier, arguments + 2, (size_t)count - 2);
  kuaixun_close(classifier);
  if (code != KUAIXUN_OK) {
    fprintf(stderr, "kuaixun-label: the texts could not be labelled (%d)\n", code);
  } else if (fflush(stdout) != 0 || ferror(stdout)) {
    perror("kuaixun-label: standard output");
    code = KUAIXUN_USAGE;
  }
  return code;
}
