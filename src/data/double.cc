// C has no shortest-form printing and no exact, locale-free reading of doubles; C++17's to_chars
// and from_chars are both. This file is the only C++ of the folder. One detail differs from
// PostgreSQL: a decimal exactly halfway between two doubles reads back as the even one, so to_chars
// may print it; PostgreSQL, which other readers must understand, then prints a digit more.
#include "data/double.h"
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <system_error>

// Is "d.ddde+xx" exactly halfway between value and a neighbour? Only integers beyond the mantissa's
// reach can be: there n * 10^k must be an odd number times a power of two.
template <typename Real> static bool halfway(const char *text, const char *end, Real value) {
    constexpr int bits = std::numeric_limits<Real>::digits;
    uint64_t n = 0;
    int k = 0, places = 0;
    bool point = false;
    for (; text < end && *text != 'e'; text++) {
        if (*text == '-') continue;
        if (*text == '.') point = true;
        else n = n * 10 + uint64_t(*text - '0'), places += point;
    }
    for (text += 2; text < end; text++) k = k * 10 + (*text - '0');
    k -= places;
    if (k < 0 || k > 27) return false;
    unsigned __int128 odd = n;
    for (int i = 0; i < k; i++) odd *= 5;
    int exponent;
    auto m = uint64_t(std::ldexp(std::frexp(std::fabs(value), &exponent), bits));
    exponent -= bits; // value = m * 2^exponent
    auto is = [&](uint64_t candidate, int shift) {
        shift -= k;
        return shift >= 0 && shift < 64 &&
               odd == static_cast<unsigned __int128>(candidate) << shift;
    };
    if (is(2 * m + 1, exponent - 1)) return true;
    return m == uint64_t(1) << (bits - 1) ? is(4 * m - 1, exponent - 2)
                                          : is(2 * m - 1, exponent - 1);
}

template <typename Real> static char *digits(Real value, char *to) {
    char *end = std::to_chars(to, to + 32, value, std::chars_format::scientific).ptr;
    if (std::fabs(value) < std::ldexp(Real(1), std::numeric_limits<Real>::digits)) return end;
    int count = 0; // digits behind the point
    for (const char *at = to + (*to == '-') + 1; *at == '.' || (*at >= '0' && *at <= '9'); at++)
        count += *at != '.';
    while (halfway(to, end, value) && count + 1 < std::numeric_limits<Real>::max_digits10)
        end = std::to_chars(to, to + 32, value, std::chars_format::scientific, ++count).ptr;
    return end;
}

char *double_digits(double value, char *to) { return digits(value, to); }
char *float_digits(float value, char *to) { return digits(value, to); }

template <typename Real> static NumberScan scan(const char *text, size_t size, Real *out) {
    // from_chars would also take "inf" and "nan(…)"
    size_t first = size > 0 && text[0] == '-' ? 1 : 0;
    if (size <= first || !((text[first] >= '0' && text[first] <= '9') || text[first] == '.'))
        return NUMBER_SYNTAX;
    Real value = 0;
    auto result = std::from_chars(text, text + size, value);
    if (result.ec == std::errc::invalid_argument || result.ptr != text + size) return NUMBER_SYNTAX;
    if (result.ec == std::errc::result_out_of_range || std::isinf(value)) return NUMBER_RANGE;
    *out = value;
    return NUMBER_OK;
}

NumberScan double_scan(const char *text, size_t size, double *out) { return scan(text, size, out); }
NumberScan float_scan(const char *text, size_t size, float *out) { return scan(text, size, out); }
