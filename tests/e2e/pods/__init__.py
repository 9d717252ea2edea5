"""Programs that run in pods and speak to the platform as an application would. Standard library only."""
