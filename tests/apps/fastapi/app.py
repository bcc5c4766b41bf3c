"""A shop on FastAPI and SQLAlchemy: each request holds a connection of the pool while its query runs.

POOL_SIZE, MAX_OVERFLOW, POOL_TIMEOUT (seconds) and QUERY_MS can be set. With PERMITS the app limits itself: this many requests
at a time, the others wait for half a second at most. Nothing here knows of Poolgate.
"""

import asyncio
import os

from fastapi import Depends, FastAPI, HTTPException
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

PERMITS = int(os.environ.get("PERMITS", "0"))
permits = asyncio.Semaphore(PERMITS)

app = FastAPI()


def session():
    with Session(engine) as session:
        yield session


async def permit():
    if not PERMITS:
        yield
        return
    try:
        await asyncio.wait_for(permits.acquire(), timeout=0.5)
    except asyncio.TimeoutError:
        raise HTTPException(status_code=503, detail="busy") from None
    try:
        yield
    finally:
        permits.release()


@app.get("/orders", dependencies=[Depends(permit)])
def orders(session: Session = Depends(session)):
    session.execute(QUERY, {"seconds": SECONDS})
    return {"orders": []}


@app.get("/healthz")
def healthz(session: Session = Depends(session)):
    session.execute(text("SELECT 1"))
    return {"status": "ok"}
