"""The paper's own studies, each one command that measures it again and draws its figure."""
