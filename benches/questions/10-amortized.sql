-- title: Amortised cost by month
-- engine: farthing
SELECT x_billing_period, sum(x_amortized_cost) AS cost FROM costs GROUP BY 1 ORDER BY 1
-- engine: duckdb
SELECT billing_period, sum({amortized}) AS cost
FROM cur GROUP BY 1 ORDER BY 1
