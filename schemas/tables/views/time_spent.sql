-- Where the time of requests went: in the model, in tools, on the way (network),
-- waiting for a connection (queue), or in the agent's and the services' own code.
-- Calls that run side by side count each.
SELECT
  date,
  agent,
  stage,
  ROUND(SUM(ns) / 1e6, 3) AS total_ms,
  ROUND(SUM(ns) / SUM(SUM(ns)) OVER (PARTITION BY date, agent), 4) AS share
FROM (
  SELECT
    date,
    COALESCE(agent, '') AS agent,
    CASE
      WHEN layer = 'model' THEN 'model'
      WHEN layer IN ('tool', 'process') THEN 'tool'
      WHEN layer IN ('http', 'edge') THEN 'network'
      ELSE 'code'
    END AS stage,
    self_ns AS ns
  FROM {{from "steps_current"}}
  WHERE self_ns > 0
  UNION ALL
  SELECT date, COALESCE(agent, '') AS agent, 'queue' AS stage, wait_ns AS ns
  FROM {{from "steps_current"}}
  WHERE wait_ns > 0
) AS parts
GROUP BY 1, 2, 3
ORDER BY 1, 2, 4 DESC
