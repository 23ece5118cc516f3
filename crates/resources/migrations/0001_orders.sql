-- Runs on SQLite and PostgreSQL alike.
CREATE TABLE orders (
    id BIGINT NOT NULL PRIMARY KEY,
    customer TEXT NOT NULL,
    cents BIGINT NOT NULL CHECK (cents >= 0)
);
