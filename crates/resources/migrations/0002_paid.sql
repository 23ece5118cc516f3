ALTER TABLE orders ADD COLUMN receipt TEXT;
CREATE INDEX orders_by_customer ON orders (customer);
