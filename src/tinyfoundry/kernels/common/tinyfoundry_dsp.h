/* SIMD instructions of the DSP extension (ARMv7E-M ARM A7.7), and their twins in C where there are none. */
#ifndef TINYFOUNDRY_DSP_H
#define TINYFOUNDRY_DSP_H

#include <stdint.h>

/* Arm has had some of the DSP extension since ARMv5TE; the SIMD part is what is used here. */
#if defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>

/* Whole loops in assembly: of Thumb-2, with operands that only an optimising compiler makes literals of, and
 * with every register but one or two; define TINYFOUNDRY_PLAIN_C where a compiler has not that many left. */
#if defined(__thumb2__) && defined(__OPTIMIZE__) && !defined(__PIC__) && !defined(TINYFOUNDRY_PLAIN_C)
#define TF_DSP_ASM
#endif

/* Text over and over. Not by .rept: compilers reckon the length of assembly by its lines, and place constants by it. */
#define TF_TIMES_4(text) text text text text
#define TF_TIMES_5(text) TF_TIMES_4(text) text
#define TF_TIMES_7(text) TF_TIMES_5(text) text text
#define TF_TIMES_8(text) TF_TIMES_7(text) text

/* acc + a.low * b.low + a.high * b.high, the halves signed. */
static inline int32_t tf_smlad(uint32_t a, uint32_t b, int32_t acc)
{
    return __smlad((int16x2_t)a, (int16x2_t)b, acc);
}

/* Bytes 0 and 2 of x as signed halves. */
static inline uint32_t tf_sxtb16(uint32_t x)
{
    return (uint32_t)__sxtb16((int8x4_t)x);
}

/* addend + the high word of 2^32 * addend + a * b + 2^31. */
static inline int32_t tf_smmlar(int32_t a, int32_t b, int32_t addend)
{
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(addend));
    return result;
}

static inline int32_t tf_ssat8(int32_t x)
{
    return __ssat(x, 8);
}

/* acc + the high word of 2^16 * a * b.low. */
static inline int32_t tf_smlawb(int32_t a, uint32_t b, int32_t acc)
{
    return __smlawb(a, (int32_t)b, acc);
}

/* acc + the high word of 2^16 * a * b.high. */
static inline int32_t tf_smlawt(int32_t a, uint32_t b, int32_t acc)
{
    return __smlawt(a, (int32_t)b, acc);
}
#else
static inline int32_t tf_smlad(uint32_t a, uint32_t b, int32_t acc)
{
    const int32_t low = (int16_t)(uint16_t)a * (int16_t)(uint16_t)b;
    return (int32_t)((uint32_t)acc + (uint32_t)low +
                     (uint32_t)((int16_t)(uint16_t)(a >> 16) * (int16_t)(uint16_t)(b >> 16)));
}

static inline uint32_t tf_sxtb16(uint32_t x)
{
    return (uint16_t)(int8_t)(uint8_t)x | (uint32_t)(uint16_t)(int8_t)(uint8_t)(x >> 16) << 16;
}

static inline int32_t tf_smmlar(int32_t a, int32_t b, int32_t addend)
{
    return addend + (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
}

static inline int32_t tf_ssat8(int32_t x)
{
    return x < -128 ? -128 : (x > 127 ? 127 : x);
}

static inline int32_t tf_smlawb(int32_t a, uint32_t b, int32_t acc)
{
    return acc + (int32_t)((int64_t)a * (int16_t)(uint16_t)b >> 16);
}

static inline int32_t tf_smlawt(int32_t a, uint32_t b, int32_t acc)
{
    return tf_smlawb(a, b >> 16, acc);
}
#endif

/* Functions that must see their arguments as literals: assembly takes them as immediates. */
#if defined(__GNUC__)
#define TF_INLINE static inline __attribute__((always_inline))
#else
#define TF_INLINE static inline
#endif

/* Before a loop whose body is large: one copy of it is enough. */
#if defined(__clang__)
#define TF_NO_UNROLL _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__) && __GNUC__ >= 8
#define TF_NO_UNROLL _Pragma("GCC unroll 1")
#else
#define TF_NO_UNROLL
#endif

/* Four bytes as one word, wherever they lie. */
static inline uint32_t tf_load4(const int8_t *from)
{
    uint32_t word;
    __builtin_memcpy(&word, from, 4);
    return word;
}

static inline void tf_store4(int8_t *to, uint32_t word)
{
    __builtin_memcpy(to, &word, 4);
}

#endif
