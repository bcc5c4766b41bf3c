"""A shop on FastAPI and SQLAlchemy: each request holds a connection of the pool while its query runs.

POOL_SIZE, MAX_OVERFLOW, POOL_TIMEOUT (seconds) and QUERY_MS can be set. Nothing here knows of Poolgate.
"""

import os

from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

engine = create_engine(
    os.environ["DATABASE_URL"].replace("postgres://", "postgresql+psycopg2://", 1),
    pool_size=int(os.environ.get("POOL_SIZE", "5")),
    max_overflow=int(os.environ.get("MAX_OVERFLOW", "10")),
    pool_timeout=float(os.environ.get("POOL_TIMEOUT", "30")),
)
QUERY = text("SELECT pg_sleep(:seconds)")
SECONDS = float(os.environ.get("QUERY_MS", "50")) / 1000

app = FastAPI()


def session():
    with Session(engine) as session:
        yield session


@app.get("/orders")
def orders(session: Session = Depends(session)):
    session.execute(QUERY, {"seconds": SECONDS})
    return {"orders": []}


@app.get("/healthz")
def healthz(session: Session = Depends(session)):
    session.execute(text("SELECT 1"))
    return {"status": "ok"}
