"""Makes a pool while it is imported, under the import lock."""

import covet_py

pool = covet_py.PoolExecutor(2)
first = pool.submit(abs, -3).result()
assert pool.call(abs, -3) == 3
