"""Built-in plugins: channels and ticketing tools. They import the contract and nothing else of ours."""
