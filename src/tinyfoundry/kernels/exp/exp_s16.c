/*
op = "exp"
types = { x = "int16", y = "int16" }
summary = "exponential by a table of 513 entries and straight lines between, plain C"
*/
#include "tinyfoundry_curve.h"

/* y may be x: element i is written after it is read. */
static inline void exp_s16(const int16_t *x, int16_t *y, const int16_t *curve, int elements)
{
    for (int i = 0; i < elements; ++i) {
        y[i] = tf_on_curve(x[i], curve);
    }
}
