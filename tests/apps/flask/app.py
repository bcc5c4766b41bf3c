"""A shop on Flask: each request connects to the database through PgBouncer. QUERY_MS can be set. Nothing here knows of
Poolgate.
"""

import os
from contextlib import closing

import psycopg2
from flask import Flask

app = Flask(__name__)
seconds = float(os.environ.get("QUERY_MS", "50")) / 1000


@app.get("/orders")
def orders():
    with closing(psycopg2.connect(os.environ["DATABASE_URL"])) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", (seconds,))
    return {"orders": []}
