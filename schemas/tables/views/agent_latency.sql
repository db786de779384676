-- How long calls take, by agent and stage.
SELECT
  COALESCE(agent, '') AS agent,
  layer AS stage,
  COUNT(*) AS calls,
  SUM(CASE WHEN status = 'ok' THEN 0 ELSE 1 END) AS failed,
  ROUND({{percentile 50 "duration_ns"}} / 1e6, 3) AS p50_ms,
  ROUND({{percentile 95 "duration_ns"}} / 1e6, 3) AS p95_ms,
  ROUND({{percentile 99 "duration_ns"}} / 1e6, 3) AS p99_ms
FROM {{from "steps_current"}}
WHERE self_ns IS NOT NULL -- calls, not what the network and the kernel saw of them
GROUP BY 1, 2
ORDER BY 1, 2
