// A shop on Express and pg: each request holds a connection of the pool while its query runs. The pool is as pg has it by
// default: 10 connections, and requests that find none wait for as long as it takes. Nothing here knows of Poolgate.

import express from "express";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
const app = express();

app.use(express.static("public"));

app.get("/orders", async (_request, response) => {
  await pool.query("SELECT pg_sleep(0.05)");
  response.json({ orders: [] });
});

app.listen(8001, "127.0.0.1");
