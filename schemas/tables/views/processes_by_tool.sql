-- The programs that each tool started; an empty tool is none.
SELECT
  COALESCE(agent, '') AS agent,
  COALESCE(tool, '') AS tool,
  executable,
  COUNT(*) AS processes,
  SUM(CASE WHEN status = 'unclaimed' THEN 1 ELSE 0 END) AS unclaimed,
  MIN(start_time) AS first_seen,
  MAX(start_time) AS last_seen
FROM {{from "steps_current"}}
WHERE layer = 'process'
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
