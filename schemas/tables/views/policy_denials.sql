-- What policies denied, and the tool that had asked for it.
SELECT
  COALESCE(agent, '') AS agent,
  COALESCE(tool, '') AS tool,
  COALESCE(policy, '') AS policy,
  COALESCE(destination, path, '') AS target,
  layer,
  COUNT(*) AS denials,
  COUNT(DISTINCT timeline_id) AS requests,
  MIN(start_time) AS first_seen,
  MAX(start_time) AS last_seen
FROM {{from "steps_current"}}
WHERE status = 'denied'
GROUP BY 1, 2, 3, 4, 5
ORDER BY 6 DESC, 1, 2, 3, 4, 5
