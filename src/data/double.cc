// C has no shortest-form printing and no exact, locale-free reading of doubles; C++17's to_chars and from_chars are both. This
// file is the only C++ of the folder and holds nothing else.
#include "data/double.h"
#include <charconv>
#include <cmath>
#include <system_error>

template <typename Real> static char *digits(Real value, char *to) {
    return std::to_chars(to, to + 32, value, std::chars_format::scientific).ptr;
}

char *double_digits(double value, char *to) { return digits(value, to); }
char *float_digits(float value, char *to) { return digits(value, to); }

template <typename Real> static NumberScan scan(const char *text, size_t size, Real *out) {
    // from_chars would also take "inf" and "nan(…)"
    size_t first = size > 0 && text[0] == '-' ? 1 : 0;
    if (size <= first || !((text[first] >= '0' && text[first] <= '9') || text[first] == '.')) return NUMBER_SYNTAX;
    Real value = 0;
    auto result = std::from_chars(text, text + size, value);
    if (result.ec == std::errc::invalid_argument || result.ptr != text + size) return NUMBER_SYNTAX;
    if (result.ec == std::errc::result_out_of_range || std::isinf(value)) return NUMBER_RANGE;
    *out = value;
    return NUMBER_OK;
}

NumberScan double_scan(const char *text, size_t size, double *out) { return scan(text, size, out); }
NumberScan float_scan(const char *text, size_t size, float *out) { return scan(text, size, out); }
