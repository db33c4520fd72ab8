// The kernels, which NVRTC compiles for the device that is there. Their names are `operation_type`, as Unary and Element name
// them. They may be launched with any number of blocks of THREADS threads; `mod.rs` says how many.

#define THREADS 256

// Each element of n, shared among all threads.
#define EACH(i, n)                                                                      \
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < (n);             \
         i += gridDim.x * (size_t)blockDim.x)

#define UNARY(name, type, T, result)                                                    \
    extern "C" __global__ void name##_##type(size_t n, const T *in, T *out) {           \
        EACH(i, n) {                                                                    \
            T x = in[i];                                                                \
            out[i] = (result);                                                          \
        }                                                                               \
    }

#define AXPY(type, T, result)                                                           \
    extern "C" __global__ void axpy_##type(size_t n, T a, const T *in, T *out) {        \
        EACH(i, n) {                                                                    \
            T x = in[i], y = out[i];                                                    \
            out[i] = (result);                                                          \
        }                                                                               \
    }

// f is what C appends to the names of functions of this type.
#define FLOAT(type, T, f)                                                               \
    UNARY(negative, type, T, -x)                                                        \
    UNARY(absolute, type, T, fabs##f(x))                                                \
    UNARY(square, type, T, x *x)                                                        \
    UNARY(reciprocal, type, T, (T)1 / x)                                                \
    UNARY(sqrt, type, T, sqrt##f(x))                                                    \
    UNARY(exp, type, T, exp##f(x))                                                      \
    UNARY(log, type, T, log##f(x))                                                      \
    UNARY(tanh, type, T, tanh##f(x))                                                    \
    __device__ T sigmoid_of_##type(T x) {                                               \
        T e = exp##f(-fabs##f(x)); /* never overflows */                                \
        return (x < 0 ? e : (T)1) / ((T)1 + e);                                         \
    }                                                                                   \
    UNARY(sigmoid, type, T, sigmoid_of_##type(x))                                       \
    AXPY(type, T, fma##f(a, x, y))

// U is the type without a sign, in which overflow wraps.
#define INTEGER(type, T, U)                                                             \
    UNARY(negative, type, T, (T)(0 - (U)x))                                             \
    UNARY(absolute, type, T, x < 0 ? (T)(0 - (U)x) : x)                                 \
    UNARY(square, type, T, (T)((U)x * (U)x))                                            \
    AXPY(type, T, (T)((U)a * (U)x + (U)y))

FLOAT(float32, float, f)
FLOAT(float64, double, )
INTEGER(int32, int, unsigned)
INTEGER(int64, long long, unsigned long long)

// A sum of floats, with what rounding has taken from it. If it is not finite, neither is anything that was lost.
struct Floats {
    double sum, lost;
};

__device__ Floats plus(Floats x, Floats y) {
    // Knuth's TwoSum, 1969.
    double sum = x.sum + y.sum;
    double part = sum - x.sum;
    double lost = (x.sum - (sum - part)) + (y.sum - part);
    Floats both = {sum, x.lost + y.lost + lost};
    return both;
}

__device__ double value(Floats x) {
    return isfinite(x.sum) ? x.sum + x.lost : x.sum;
}

// A sum of integers, which wraps.
struct Integers {
    unsigned long long sum;
};

__device__ Integers plus(Integers x, Integers y) {
    Integers both = {x.sum + y.sum};
    return both;
}

__device__ long long value(Integers x) {
    return (long long)x.sum;
}

// The sum of what the threads of a block have, for its thread 0.
template <typename Sum> __device__ Sum block_sum(Sum mine) {
    __shared__ Sum sums[THREADS];
    unsigned i = threadIdx.x;
    sums[i] = mine;
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (i < half)
            sums[i] = plus(sums[i], sums[i + half]);
    }
    return i == 0 ? sums[0] : mine;
}

// The sums of the blocks, and of these the result, by one block. W is what an element is widened to.
#define SUM(type, T, Sum, W, Result)                                                    \
    extern "C" __global__ void sums_##type(size_t n, const T *in, Sum *sums) {          \
        Sum mine = {};                                                                  \
        EACH(i, n) {                                                                    \
            Sum element = {(W)in[i]};                                                   \
            mine = plus(mine, element);                                                 \
        }                                                                               \
        mine = block_sum(mine);                                                         \
        if (threadIdx.x == 0)                                                           \
            sums[blockIdx.x] = mine;                                                    \
    }                                                                                   \
    extern "C" __global__ void total_##type(size_t n, const Sum *sums, Result *out) {   \
        Sum mine = {};                                                                  \
        EACH(i, n) mine = plus(mine, sums[i]);                                          \
        mine = block_sum(mine);                                                         \
        if (threadIdx.x == 0)                                                           \
            *out = (Result)value(mine);                                                 \
    }

SUM(float32, float, Floats, double, float)
SUM(float64, double, Floats, double, double)
SUM(int32, int, Integers, unsigned long long, long long)
SUM(int64, long long, Integers, unsigned long long, long long)
