// The loops of student_kernel.h, included by one source file for each instruction set, which defines before:
//   KUAIXUN_KERNEL          the name of the StudentKernel to define
//   KUAIXUN_INSTRUCTION_SET what it is called in reports
//   KUAIXUN_VECTOR_BYTES    the size of a vector register
//
// Vectors are the compilers' own (GCC and Clang), with all operators elementwise. Intrinsics stand only where GCC 12
// makes several instructions of one.

#include "student_kernel.h"

#if defined(__SSE2__)
// GCC 12 takes the registers that its own intrinsics leave undefined on purpose for a mistake.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace kuaixun {
namespace {

constexpr size_t vector_bytes = KUAIXUN_VECTOR_BYTES;

template <typename T, size_t lanes>
struct VectorOf {
  typedef T type __attribute__((vector_size(lanes * sizeof(T))));
};
template <typename T, size_t lanes>
using Vector = typename VectorOf<T, lanes>::type;

template <typename V, typename T>
inline V load(const T* from) {
  V vector;
  __builtin_memcpy(&vector, from, sizeof vector);
  return vector;
}

template <typename V, typename T>
inline void store(V vector, T* to) {
  __builtin_memcpy(to, &vector, sizeof vector);
}

template <typename V>
inline V larger(V left, V right) {
  return left > right ? left : right;
}

// How the numbers of a table row are held, and what they are summed in.
struct Int8Rows {
  using Stored = int8_t;
  using Sum = int16_t;
  using Out = Sum;
  static constexpr size_t lanes = vector_bytes / sizeof(Sum);
  using Sums = Vector<Sum, lanes>;
  static Sums widen(const Stored* from) {
#if defined(__AVX512BW__)
    return (Sums)_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__AVX2__)
    return (Sums)_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
    return __builtin_convertvector(load<Vector<Stored, lanes> >(from), Sums);
#endif
  }
  static Sums add(Sums left, Sums right) { return left + right; }
  static Sums least() { return Sums{} + static_cast<Sum>(-32768); }
};

// The same rows summed in 8 bits, saturating: nothing is widened before the maximum, and a vector holds twice as much.
struct NarrowInt8Rows {
  using Stored = int8_t;
  using Sum = int8_t;
  using Out = Sum;
  static constexpr size_t lanes = vector_bytes;
  using Sums = Vector<Sum, lanes>;
  static Sums widen(const Stored* from) { return load<Sums>(from); }
  static Sums add(Sums left, Sums right) {
#if defined(__AVX512BW__)
    return (Sums)_mm512_adds_epi8((__m512i)left, (__m512i)right);
#elif defined(__AVX2__)
    return (Sums)_mm256_adds_epi8((__m256i)left, (__m256i)right);
#elif defined(__SSE2__)
    return (Sums)_mm_adds_epi8((__m128i)left, (__m128i)right);
#elif defined(__ARM_NEON)
    return (Sums)vqaddq_s8((int8x16_t)left, (int8x16_t)right);
#else
    using Wide = Vector<int16_t, lanes>;
    const Wide sums = __builtin_convertvector(left, Wide) + __builtin_convertvector(right, Wide);
    const Wide highest = Wide{} + static_cast<int16_t>(127);
    const Wide lowest = Wide{} + static_cast<int16_t>(-128);
    const Wide bounded = sums > highest ? highest : larger(sums, lowest);
    return __builtin_convertvector(bounded, Sums);
#endif
  }
  static Sums least() { return Sums{} + static_cast<Sum>(-128); }
};

struct Bfloat16Rows {
  using Stored = uint16_t;
  using Sum = float;
  using Out = Sum;
  static constexpr size_t lanes = vector_bytes / sizeof(Sum);
  using Sums = Vector<Sum, lanes>;
  static Sums widen(const Stored* from) {
#if defined(__AVX512BW__)
    const __m256i stored = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return (Sums)_mm512_slli_epi32(_mm512_cvtepu16_epi32(stored), 16);
#elif defined(__AVX2__)
    const __m128i stored = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return (Sums)_mm256_slli_epi32(_mm256_cvtepu16_epi32(stored), 16);
#else
    return (Sums)(__builtin_convertvector(load<Vector<Stored, lanes> >(from), Vector<uint32_t, lanes>) << 16);
#endif
  }
  static Sums add(Sums left, Sums right) { return left + right; }
  static Sums least() { return Sums{} - __builtin_inff(); }
};

struct FloatRows {
  using Stored = float;
  using Sum = float;
  using Out = Sum;
  static constexpr size_t lanes = vector_bytes / sizeof(Sum);
  using Sums = Vector<Sum, lanes>;
  static Sums widen(const Stored* from) { return load<Sums>(from); }
  static Sums add(Sums left, Sums right) { return left + right; }
  static Sums least() { return Sums{} - __builtin_inff(); }
};

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr size_t registers = 32;
#else
constexpr size_t registers = 16;
#endif

// As many of a slice's vectors as leave two registers beside what Windows keeps of them.
constexpr size_t vectors_at_a_time(size_t slice_vectors, size_t width) {
  size_t vectors = slice_vectors;
  while (vectors > 1 && vectors * width + 2 > registers) vectors /= 2;
  return vectors;
}

// What the windows under way have summed so far, by how many places they have, and the maxima of those that are over.
template <typename Rows, size_t width, size_t vectors>
struct Windows {
  using Stored = typename Rows::Stored;
  using Sums = typename Rows::Sums;
  static constexpr size_t slice = slice_bytes / sizeof(Stored);

  Sums maxima[vectors];
  Sums begun[width > 1 ? width - 1 : 1][vectors];

  // The windows take up one more token. `full` says whether one of them is complete by it.
  void take(const Stored* row, bool full) {
    for (size_t v = 0; v < vectors; ++v) {
      const Stored* const lane = row + v * Rows::lanes;
      if constexpr (width == 1) {
        maxima[v] = larger(maxima[v], Rows::widen(lane));
      } else {
        if (full) {
          maxima[v] = larger(maxima[v], Rows::add(begun[width - 2][v], Rows::widen(lane + (width - 1) * slice)));
        }
        for (size_t place = width - 2; place > 0; --place) {
          begun[place][v] = Rows::add(begun[place - 1][v], Rows::widen(lane + place * slice));
        }
        begun[0][v] = Rows::widen(lane);
      }
    }
  }
};

// Of one text, the part of a slice that `table` begins with.
template <typename Rows, size_t width, size_t vectors>
inline void pool_part(const typename Rows::Stored* table, const int32_t* ids, size_t tokens, typename Rows::Out* out) {
  using State = Windows<Rows, width, vectors>;
  constexpr size_t row_elements = width * State::slice;
  State windows;
  for (size_t v = 0; v < vectors; ++v) {
    windows.maxima[v] = Rows::least();
    for (auto& begun : windows.begun) begun[v] = typename Rows::Sums{};
  }
  size_t token = 0;
  for (; token + 1 < width; ++token) {
    windows.take(table + (token < tokens ? static_cast<size_t>(ids[token]) * row_elements : 0), false);
  }
  for (; token < tokens; ++token) windows.take(table + static_cast<size_t>(ids[token]) * row_elements, true);
  for (; token + 1 < tokens + width; ++token) windows.take(table, true);
  for (size_t v = 0; v < vectors; ++v) {
    using Outs = Vector<typename Rows::Out, Rows::lanes>;
    store(__builtin_convertvector(windows.maxima[v], Outs), out + v * Rows::lanes);
  }
}

template <typename Rows, size_t width>
void pool_width(const typename Rows::Stored* table, const TokenIds* texts, size_t count, typename Rows::Out* out,
                size_t stride) {
  constexpr size_t slice = slice_bytes / sizeof(typename Rows::Stored);
  static_assert(slice % Rows::lanes == 0, "a slice is of whole vectors");
  constexpr size_t vectors = vectors_at_a_time(slice / Rows::lanes, width);
  for (size_t text = 0; text < count; ++text, out += stride) {
    if (texts[text].count == 0) continue;
    for (size_t first = 0; first < slice; first += vectors * Rows::lanes) {
      pool_part<Rows, width, vectors>(table + first, texts[text].ids, texts[text].count, out + first);
    }
  }
}

// Widths that nobody has asked for yet.
template <typename Rows>
void pool_any_width(const typename Rows::Stored* table, size_t width, const TokenIds* texts, size_t count,
                    typename Rows::Out* out, size_t stride) {
  constexpr size_t slice = slice_bytes / sizeof(typename Rows::Stored);
  for (size_t text = 0; text < count; ++text, out += stride) {
    const TokenIds tokens = texts[text];
    for (size_t first = 0; first < slice && tokens.count > 0; first += Rows::lanes) {
      typename Rows::Sums maxima = Rows::least();
      for (size_t token = 0; token < tokens.count; ++token) {
        typename Rows::Sums sums = {};
        for (size_t place = 0; place < width; ++place) {
          const size_t id = token + place < tokens.count ? static_cast<size_t>(tokens.ids[token + place]) : 0;
          const auto row = Rows::widen(table + (id * width + place) * slice + first);
          sums = place == 0 ? row : Rows::add(sums, row);
        }
        maxima = larger(maxima, sums);
      }
      using Outs = Vector<typename Rows::Out, Rows::lanes>;
      store(__builtin_convertvector(maxima, Outs), out + first);
    }
  }
}

template <typename Rows>
void pool(const typename Rows::Stored* table, size_t width, const TokenIds* texts, size_t count,
          typename Rows::Out* out, size_t stride) {
  switch (width) {
    case 1:
      return pool_width<Rows, 1>(table, texts, count, out, stride);
    case 2:
      return pool_width<Rows, 2>(table, texts, count, out, stride);
    case 3:
      return pool_width<Rows, 3>(table, texts, count, out, stride);
    case 4:
      return pool_width<Rows, 4>(table, texts, count, out, stride);
    case 5:
      return pool_width<Rows, 5>(table, texts, count, out, stride);
    default:
      return pool_any_width<Rows>(table, width, texts, count, out, stride);
  }
}

// Sixteen lanes whatever the register's size, so that sums are formed in the same order everywhere.
using Floats = Vector<float, 16>;
using Doubles = Vector<double, 16>;

constexpr size_t int16_lanes = vector_bytes / sizeof(int16_t);
using Int16s = Vector<int16_t, int16_lanes>;
using Int32s = Vector<int32_t, int16_lanes / 2>;

// Products of neighbours, added in pairs.
inline Int32s multiply_pairs(Int16s left, Int16s right) {
#if defined(__AVX512BW__)
  return (Int32s)_mm512_madd_epi16((__m512i)left, (__m512i)right);
#elif defined(__AVX2__)
  return (Int32s)_mm256_madd_epi16((__m256i)left, (__m256i)right);
#elif defined(__SSE2__)
  return (Int32s)_mm_madd_epi16((__m128i)left, (__m128i)right);
#else
  const auto even_and_odd = [](Int16s pairs, int shift) { return ((Int32s)pairs << shift) >> 16; };
  return even_and_odd(left, 16) * even_and_odd(right, 16) + even_and_odd(left, 0) * even_and_odd(right, 0);
#endif
}

inline void activate(Int16s maxima, const int16_t* bias, int16_t* features) {
  const Int16s sums = maxima * static_cast<int16_t>(feature_steps) + load<Int16s>(bias);
  store(larger(sums, Int16s{}), features);
}

void activate_int8(const int8_t* maxima, const int16_t* bias, size_t count, int16_t* features) {
  static_assert(Int8Rows::lanes == int16_lanes, "as many as are widened at a time");
  for (size_t i = 0; i < count; i += int16_lanes) activate(Int8Rows::widen(maxima + i), bias + i, features + i);
}

void activate_int16(const int16_t* maxima, const int16_t* bias, size_t count, int16_t* features) {
  for (size_t i = 0; i < count; i += int16_lanes) activate(load<Int16s>(maxima + i), bias + i, features + i);
}

inline int32_t sum_of_all(Int32s sums) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_epi32((__m512i)sums);
#else
  int32_t sum = 0;
  for (size_t lane = 0; lane < int16_lanes / 2; ++lane) sum += sums[lane];
  return sum;
#endif
}

template <size_t group>
inline void classify_group(const int16_t* features, const int16_t* weights, size_t count, int64_t* out) {
  for (size_t c = 0; c < group; ++c) out[c] = 0;
  for (size_t begin = 0; begin < count; begin += classify_chunk) {
    const size_t end = count - begin < classify_chunk ? count : begin + classify_chunk;
    Int32s sums[group] = {};
    for (size_t i = begin; i < end; i += int16_lanes) {
      const Int16s feature = load<Int16s>(features + i);
      for (size_t c = 0; c < group; ++c) sums[c] += multiply_pairs(feature, load<Int16s>(weights + c * count + i));
    }
    for (size_t c = 0; c < group; ++c) out[c] += sum_of_all(sums[c]);
  }
}

void classify_int16(const int16_t* features, const int16_t* weights, size_t count, size_t classes, int64_t* out) {
  size_t c = 0;
  for (; c + 4 <= classes; c += 4) classify_group<4>(features, weights + c * count, count, out + c);
  for (; c + 2 <= classes; c += 2) classify_group<2>(features, weights + c * count, count, out + c);
  for (; c < classes; ++c) classify_group<1>(features, weights + c * count, count, out + c);
}

void activate_float(const float* maxima, const float* bias, size_t count, float* features) {
  for (size_t i = 0; i < count; i += 16) {
    store(larger(load<Floats>(maxima + i) + load<Floats>(bias + i), Floats{}), features + i);
  }
}

template <typename V>
inline auto sum_of_lanes(V vector) {
  for (int half = 8; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane) vector[lane] += vector[lane + half];
  }
  return vector[0];
}

template <typename V, typename T>
void classify(const float* features, const T* weights, size_t count, size_t classes, T* out) {
  for (size_t first = 0; first < classes; first += class_padding) {
    V sums[class_padding] = {};
    for (size_t i = 0; i < count; i += 16) {
      const V feature = __builtin_convertvector(load<Floats>(features + i), V);
      for (size_t c = 0; c < class_padding; ++c) sums[c] += feature * load<V>(weights + (first + c) * count + i);
    }
    for (size_t c = 0; c < class_padding; ++c) out[first + c] = sum_of_lanes(sums[c]);
  }
}

using NgramSums = Vector<int16_t, ngram_padding>;

inline NgramSums widen(const int8_t* from) {
#if defined(__AVX2__)
  return (NgramSums)_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
  return __builtin_convertvector(load<Vector<int8_t, ngram_padding> >(from), NgramSums);
#endif
}

void sum_int8(const int8_t* table, size_t stride, const uint32_t* buckets, size_t count, int32_t* out) {
  using Totals = Vector<int32_t, ngram_padding>;
  constexpr size_t rows_in_16_bits = 256;  // of the least number, -128: -32768
  for (size_t first = 0; first < stride; first += ngram_padding) {
    for (size_t begin = 0; begin < count; begin += rows_in_16_bits) {
      const size_t end = count - begin < rows_in_16_bits ? count : begin + rows_in_16_bits;
      NgramSums sums = {};
      for (size_t i = begin; i < end; ++i) sums += widen(table + buckets[i] * stride + first);
      store(load<Totals>(out + first) + __builtin_convertvector(sums, Totals), out + first);
    }
  }
}

// sum + left * right. Both come from numbers of single precision, so their product is exact in double precision and is
// rounded once either way: where there are fused multiply-adds, they give the same bits in half the instructions.
template <typename V>
inline V add_product(V sum, double left, V right) {
#if defined(__AVX512F__)
  return (V)_mm512_fmadd_pd(_mm512_set1_pd(left), (__m512d)right, (__m512d)sum);
#elif defined(__FMA__)
  return (V)_mm256_fmadd_pd(_mm256_set1_pd(left), (__m256d)right, (__m256d)sum);
#else
  return sum + left * right;
#endif
}

void fold(const double* left, const double* panel, size_t depth, float* out, size_t out_stride) {
  constexpr size_t lanes = vector_bytes / sizeof(double);
  using V = Vector<double, lanes>;
  constexpr size_t columns = 2 * lanes;
  constexpr size_t rows = vector_bytes == 64 ? fold_rows : fold_rows / 2;  // as many sums as there are registers for
  for (size_t first = 0; first < fold_columns * (fold_rows / rows); first += columns) {
    const size_t column = first % fold_columns;
    const size_t row_offset = first / fold_columns * rows;
    V sums[rows][2] = {};
    for (size_t k = 0; k < depth; ++k) {
      const V low = load<V>(panel + k * fold_columns + column);
      const V high = load<V>(panel + k * fold_columns + column + lanes);
      for (size_t row = 0; row < rows; ++row) {
        const double factor = left[(row_offset + row) * depth + k];
        sums[row][0] = add_product(sums[row][0], factor, low);
        sums[row][1] = add_product(sums[row][1], factor, high);
      }
    }
    for (size_t row = 0; row < rows; ++row) {
      for (size_t half = 0; half < 2; ++half) {
        store(__builtin_convertvector(sums[row][half], Vector<float, lanes>),
              out + (row_offset + row) * out_stride + column + half * lanes);
      }
    }
  }
}

void round_int8(const float* rows, const float* steps_per_unit, size_t count, int8_t* out) {
  constexpr float limit = 127.0F;
  // Of numbers under 2^22, adding it rounds as nearbyint does, in a form that compilers vectorise: 1.5 * 2^23.
  constexpr float no_fraction_left = 12582912.0F;
  for (size_t i = 0; i < count; ++i) {
    const float steps = rows[i] * steps_per_unit[i];
    const float above = steps > -limit ? steps : -limit;
    const float clamped = above < limit ? above : limit;
    out[i] = static_cast<int8_t>((clamped + no_fraction_left) - no_fraction_left);
  }
}

}  // namespace

const StudentKernel KUAIXUN_KERNEL = {
    KUAIXUN_INSTRUCTION_SET,
    pool<Int8Rows>,
    pool<NarrowInt8Rows>,
    pool<Bfloat16Rows>,
    pool<FloatRows>,
    activate_int8,
    activate_int16,
    activate_float,
    classify_int16,
    classify<Floats, float>,
    classify<Doubles, double>,
    sum_int8,
    fold,
    round_int8,
};

}  // namespace kuaixun
