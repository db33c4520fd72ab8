"""Numbers, tables, pictures."""

from recipes.registry import recipe


@recipe("numpy", cpu=True)
def use_numpy():
    import numpy as np

    rng = np.random.default_rng(7)
    a = rng.standard_normal((60, 60))
    values = np.linalg.svd(a, compute_uv=False)
    spectrum = np.abs(np.fft.rfft(a.ravel()))
    table = np.zeros(5, dtype=[("name", "U4"), ("size", "f8")])
    table["name"] = ["b", "a", "d", "c", "e"]
    with np.errstate(divide="ignore"):
        infinite = bool(np.isinf(np.float64(1) / np.zeros(1))[0])
    return values[:3].tolist(), float(spectrum.max()), np.sort(table, order="name")["name"].tolist(), infinite


@recipe("scipy", "scipy.linalg", "scipy.optimize", "scipy.sparse.linalg", "scipy.integrate", "scipy.special", cpu=True)
def use_scipy():
    import numpy as np
    from scipy import integrate, linalg, optimize, sparse, special

    # LAPACK, a callback from Fortran or C into Python, a sparse solver.
    a = np.arange(1.0, 101.0).reshape(10, 10) + 20 * np.eye(10)
    factors, pivots = linalg.lu_factor(a)
    lowest = optimize.minimize(optimize.rosen, [1.3, 0.7, 0.8], method="L-BFGS-B").x
    area, _ = integrate.quad(lambda x: float(special.jv(2, x)), 0, 4)
    solved = sparse.linalg.spsolve(sparse.csc_matrix(a), np.ones(10))
    return factors[0].tolist(), pivots.tolist(), lowest.tolist(), area, solved.tolist()


@recipe("scikit-learn", "sklearn.ensemble", "sklearn.linear_model", "sklearn.cluster", cpu=True)
def use_scikit_learn():
    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    points = rng.standard_normal((120, 5))
    labels = (points[:, 0] + points[:, 1] > 0).astype(int)
    forest = RandomForestClassifier(5, random_state=0).fit(points, labels)
    line = LogisticRegression().fit(points, labels)
    means = KMeans(3, n_init=1, random_state=0).fit(points)
    return forest.predict(points).tolist(), line.coef_.round(9).tolist(), sorted(means.labels_.tolist())


@recipe("pandas", cpu=True)
def use_pandas():
    import io

    import pandas as pd

    text = "when,kind,size\n" + "".join(
        f"2024-01-{i % 28 + 1:02},{'abc'[i % 3]},{i * 7 % 101}\n" for i in range(300)
    )
    frame = pd.read_csv(io.StringIO(text), parse_dates=["when"])
    sums = frame.groupby("kind")["size"].agg(["sum", "mean", "max"])
    weeks = frame.set_index("when")["size"].resample("7D").sum()
    both = frame.merge(sums, left_on="kind", right_index=True)
    return sums.to_dict(), weeks.tolist(), both["mean"].sum(), frame.to_json(orient="records")[:200]


@recipe("pyarrow", "pyarrow", "pyarrow.compute", "pyarrow.parquet", cpu=True)
def use_pyarrow():
    import io

    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    class Celsius(pa.ExtensionType):
        def __init__(self):
            super().__init__(pa.float64(), "celsius")

        def __arrow_ext_serialize__(self):
            return b""

        @classmethod
        def __arrow_ext_deserialize__(cls, storage, text):
            return cls()

    # A table of the library's, which must be this interpreter's own.
    pa.register_extension_type(Celsius())
    batch = pa.record_batch([pa.ExtensionArray.from_storage(Celsius(), pa.array([20.5]))], ["t"])
    kind = pa.ipc.read_schema(batch.schema.serialize()).field("t").type
    pa.unregister_extension_type("celsius")

    table = pa.table({"kind": ["a", "b", None] * 200, "size": list(range(600))})
    file = io.BytesIO()
    pq.write_table(table, file, compression="snappy")
    file.seek(0)
    back = pq.read_table(file)
    sums = back.group_by("kind", use_threads=False).aggregate([("size", "sum")]).sort_by("size_sum")
    return isinstance(kind, Celsius), back.equals(table), sums.to_pylist(), pc.sum(pc.multiply(back["size"], 2)).as_py()


@recipe("polars", cpu=True)
def use_polars():
    import io

    import polars as pl

    frame = pl.DataFrame({"kind": ["a", "b", "c"] * 200, "size": list(range(600))})
    sums = frame.lazy().group_by("kind").agg(pl.col("size").sum(), pl.col("size").mean().alias("mean")).sort("kind")
    rolled = frame.select(pl.col("size").rolling_mean(7).drop_nulls().sum())
    text = frame.select(pl.col("size").map_elements(lambda size: size + 1, return_dtype=pl.Int64)).write_csv()
    return sums.collect().to_dicts(), rolled.item(), pl.read_csv(io.StringIO(text)).height


@recipe("h5py")
def use_h5py():
    import os
    import tempfile

    import h5py
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.h5")
        with h5py.File(path, "w") as file:
            data = file.create_dataset("a/b", data=np.arange(5000).reshape(50, 100), compression="gzip", chunks=(10, 100))
            data.attrs["unit"] = "m"
        with h5py.File(path) as file:
            return int(file["a/b"][:, 3].sum()), file["a/b"].attrs["unit"], sorted(file)


@recipe("netCDF4")
def use_netcdf4():
    import os
    import tempfile

    import netCDF4
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.nc")
        with netCDF4.Dataset(path, "w") as file:
            file.createDimension("x", 100)
            variable = file.createVariable("v", "f8", ("x",), zlib=True)
            variable[:] = np.arange(100)
            variable.unit = "m"
        with netCDF4.Dataset(path) as file:
            return float(file["v"][:].sum()), file["v"].unit


@recipe("Pillow", "PIL.Image", "PIL.ImageDraw", "PIL.ImageFilter", cpu=True)
def use_pillow():
    import io

    from PIL import Image, ImageDraw, ImageFilter

    image = Image.new("RGB", (96, 96), "navy")
    ImageDraw.Draw(image).ellipse((10, 20, 80, 70), fill="orange")
    small = image.filter(ImageFilter.GaussianBlur(2)).resize((40, 40))
    file = io.BytesIO()
    small.save(file, "JPEG")
    png = io.BytesIO()
    small.save(png, "PNG")
    return Image.open(file).convert("L").histogram(), Image.open(png).getpixel((20, 20))


@recipe("opencv-python-headless", "cv2", cpu=True)
def use_opencv():
    import cv2
    import numpy as np

    image = np.zeros((120, 120, 3), np.uint8)
    cv2.circle(image, (60, 60), 30, (0, 200, 255), -1)
    gray = cv2.cvtColor(cv2.GaussianBlur(image, (7, 7), 0), cv2.COLOR_BGR2GRAY)
    contours, _ = cv2.findContours((gray > 90).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    _, png = cv2.imencode(".png", image)
    try:
        cv2.cvtColor(gray, cv2.COLOR_BGR2GRAY)
        error = None
    except cv2.error as wrong:
        error = wrong.code
    return int(gray.sum()), cv2.contourArea(contours[0]), bool((cv2.imdecode(png, 1) == image).all()), error


@recipe("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg", cpu=True)
def use_matplotlib():
    import hashlib

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3, 2))
    axes = figure.add_subplot()
    axes.plot([1, 3, 2, 4], label="line")
    axes.fill_between(range(4), [0, 1, 1, 2])
    axes.set_title("$x^2$")
    axes.legend()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return hashlib.sha256(canvas.buffer_rgba()).hexdigest()


@recipe("shapely", cpu=True)
def use_shapely():
    import shapely
    from shapely import wkt

    points = [shapely.Point(i % 7, i // 7).buffer(0.8) for i in range(30)]
    union = shapely.union_all(points)
    tree = shapely.STRtree(points)
    try:
        wkt.loads("POLYGON ((0 0, 1")
        error = None
    except shapely.errors.GEOSException as wrong:
        error = type(wrong).__name__
    return union.area, len(tree.query(shapely.box(0, 0, 2, 2))), wkt.loads("POINT (1 2)").x, error


@recipe("numexpr", cpu=True)
def use_numexpr():
    import numexpr
    import numpy as np

    a, b = np.arange(20000.0), np.arange(20000.0)[::-1].copy()
    return float(numexpr.evaluate("2 * a + 3 * b - a * b / 7").sum()), int(numexpr.evaluate("(a > b) & (a < 9e3)").sum())


@recipe("llvmlite", "llvmlite.binding")
def use_llvmlite():
    import ctypes

    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly("define i64 @f(i64 %x) {\n  %y = add i64 %x, 1\n  ret i64 %y\n}")
    engine = llvm.create_mcjit_compiler(module, llvm.Target.from_default_triple().create_target_machine())
    engine.finalize_object()
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(engine.get_function_address("f"))(41)
