"""Blocking and comparing normalised records on a Spark cluster: run by a Python that has ``pyspark``, not by ours.

``python spark_job.py JOB.json``: addresses of the cluster and of the files, the keys as lists of columns and the
comparison as SQL.  All is SQL, so that workers need no Python.  Driver and workers must see the same files.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def main(job_file: str) -> None:
    """Write ``seen`` (a, b, code) and ``large`` (reason, records), both as Parquet."""
    job = json.loads(Path(job_file).read_text("utf-8"))
    session: Any = import_module("pyspark.sql").SparkSession  # of the other interpreter: unknown to ours
    builder = session.builder.master(job["master"]).appName("lienthong link")
    for name, value in job["settings"].items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        spark.sparkContext.setLogLevel("ERROR")
        spark.read.parquet(job["norm"]).createOrReplaceTempView("norm")
        for name, select in job["steps"]:
            view = spark.sql(select)
            if name in job["kept"]:
                view = view.persist()
            view.createOrReplaceTempView(name)
        for name, where in job["out"].items():
            spark.table(name).write.mode("overwrite").parquet(where)
    finally:
        spark.stop()


if __name__ == "__main__":
    main(sys.argv[1])
